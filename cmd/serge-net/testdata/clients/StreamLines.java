import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Iterator;
import java.util.stream.Stream;

/** StreamLines BASE: reads streams below BASE line by line with java.net.http, and prints them. */
class StreamLines {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (String path : new String[] {"/stream/acked", "/stream/lines", "/stream/endless?n=2"}) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[0] + path)).build();
            try (Stream<String> lines = client.send(request, HttpResponse.BodyHandlers.ofLines()).body()) {
                for (Iterator<String> i = lines.iterator(); i.hasNext(); ) {
                    String line = i.next();
                    System.out.println(line);
                    if (path.endsWith("acked") && line.startsWith("data") && !line.endsWith("2")) {
                        HttpRequest ack = HttpRequest.newBuilder(URI.create(args[0] + "/ack")).POST(HttpRequest.BodyPublishers.noBody()).build();
                        System.out.println(client.send(ack, HttpResponse.BodyHandlers.discarding()).statusCode());
                    }
                    if (line.equals("data: 1") && path.contains("endless")) {
                        break; // and leave
                    }
                }
            }
        }
        System.exit(0); // its threads would wait for a minute
    }
}
