import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Prints what a URL answers, by the library that the first argument names. */
class Get {
    public static void main(String[] args) throws Exception {
        String url = args[1];
        switch (args[0]) {
            case "httpclient" -> System.out.print(HttpClient.newHttpClient()
                    .send(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()).body());
            case "urlconnection" -> {
                try (InputStream in = new URL(url).openStream()) {
                    in.transferTo(System.out);
                }
            }
            case "okhttp" -> System.out.print(OkHttp.get(url));
            case "apache" -> System.out.print(
                    org.apache.hc.client5.http.fluent.Request.get(url).execute().returnContent().asString());
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.out.flush();
        System.exit(0); // OkHttp's threads wait for more
    }

    private static class OkHttp {
        static String get(String url) throws Exception {
            return new okhttp3.OkHttpClient().newCall(new okhttp3.Request.Builder().url(url).build()).execute().body().string();
        }
    }
}
