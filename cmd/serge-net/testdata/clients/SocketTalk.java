import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.SynchronousQueue;

/** SocketTalk URL: talks to an echoing WebSocket with java.net.http, and prints what it sees. */
class SocketTalk {
    public static void main(String[] args) throws Exception {
        SynchronousQueue<String> heard = new SynchronousQueue<>();
        WebSocket.Listener listener = new WebSocket.Listener() {
            private final StringBuilder text = new StringBuilder();
            private int bytes;

            void hear(WebSocket ws, String what) {
                try {
                    heard.put(what);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                ws.request(1);
            }

            @Override
            public CompletionStage<?> onText(WebSocket ws, CharSequence data, boolean last) {
                text.append(data);
                if (last) {
                    String all = text.toString();
                    text.setLength(0);
                    hear(ws, all);
                } else {
                    ws.request(1);
                }
                return null;
            }

            @Override
            public CompletionStage<?> onBinary(WebSocket ws, ByteBuffer data, boolean last) {
                bytes += data.remaining();
                if (last) {
                    hear(ws, bytes + " bytes");
                } else {
                    ws.request(1);
                }
                return null;
            }

            @Override
            public CompletionStage<?> onPong(WebSocket ws, ByteBuffer data) {
                hear(ws, "pong of " + data.remaining());
                return null;
            }

            @Override
            public CompletionStage<?> onClose(WebSocket ws, int code, String reason) {
                hear(ws, code + " " + reason);
                return null;
            }
        };
        WebSocket ws = HttpClient.newHttpClient().newWebSocketBuilder().subprotocols("echo.test").buildAsync(URI.create(args[0]), listener).join();
        System.out.println(ws.getSubprotocol());
        ws.sendText("in two ", false).join();
        ws.sendText("frames", true).join();
        System.out.println(heard.take());
        ws.sendBinary(ByteBuffer.allocate(70000), true).join();
        System.out.println(heard.take());
        ws.sendPing(ByteBuffer.allocate(4)).join();
        System.out.println(heard.take());
        ws.sendClose(4000, "enough").join();
        System.out.println(heard.take());
        System.exit(0); // its threads would wait for a minute
    }
}
