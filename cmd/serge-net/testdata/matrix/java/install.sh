#!/bin/sh -e
# OkHttp and Apache HttpClient of Maven Central, and the programs that use them,
# those of the JDK alone and one in Kotlin.
mvn -q -Dmaven.repo.local="$PWD/repository" dependency:copy-dependencies -DoutputDirectory="$PWD/lib"
javac -cp 'lib/*' -d . Get.java
kotlinc -no-reflect -d . get.kt 2>kotlinc.log || { cat kotlinc.log >&2; exit 1; }
