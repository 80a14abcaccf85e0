<?php
// Prints what a URL answers, by the library that the first argument names.
[, $library, $url] = $argv;
switch ($library) {
case 'curl':
    $c = curl_init($url);
    if (curl_exec($c) !== true) {
        fwrite(STDERR, curl_error($c) . "\n");
        exit(1);
    }
    break;
case 'streams':
    $body = file_get_contents($url);
    if ($body === false) {
        exit(1);
    }
    echo $body;
    break;
case 'guzzle':
    require 'GuzzleHttp/autoload.php';
    echo (new GuzzleHttp\Client())->get($url)->getBody();
}
