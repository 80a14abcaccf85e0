/** Prints what a URL answers, by Kotlin's own reading of URLs. */
fun main(args: Array<String>) = print(java.net.URL(args[0]).readText())
