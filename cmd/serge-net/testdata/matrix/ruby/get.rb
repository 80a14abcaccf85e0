# Prints what a URL answers, by the library that the first argument names.
library, url = ARGV
case library
when "net-http"
  require "net/http"
  print Net::HTTP.get(URI(url))
when "faraday"
  require "faraday"
  print Faraday.get(url).body
end
