import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** HttpRequest's timeout ends with the answer's head: a body that does not come takes orTimeout. Gets each URL of its arguments, NAME=URL, all at once, and prints what became of each. */
class Failing {
    public static void main(String[] args) {
        HttpClient client = HttpClient.newHttpClient();
        CompletableFuture.allOf(Arrays.stream(args).map(arg -> {
            String[] a = arg.split("=", 2);
            HttpRequest r = HttpRequest.newBuilder(URI.create(a[1])).timeout(Duration.ofSeconds(5)).build();
            return client.sendAsync(r, HttpResponse.BodyHandlers.ofByteArray()).orTimeout(7, TimeUnit.SECONDS).handle((ok, e) -> {
                String outcome = e == null ? ok.statusCode() + ", " + ok.body().length + " bytes" : told(e);
                System.out.println(a[0] + "\t" + outcome);
                return null;
            });
        }).toArray(CompletableFuture[]::new)).join();
        System.exit(0);
    }

    static String told(Throwable e) {
        if (e instanceof java.util.concurrent.CompletionException && e.getCause() != null) {
            e = e.getCause();
        }
        Throwable root = e;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        String message = e.getMessage() == null ? root.getClass().getSimpleName() : e.getMessage();
        return e.getClass().getSimpleName() + ": " + message;
    }
}
