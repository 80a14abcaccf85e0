import java.net.InetAddress;
import java.net.UnknownHostException;

/** Prints, for each name of its arguments, the name and the addresses that Java has for it, or the error. */
class Lookup {
    public static void main(String[] names) {
        for (String name : names) {
            StringBuilder line = new StringBuilder(name);
            try {
                for (InetAddress a : InetAddress.getAllByName(name)) {
                    line.append(' ').append(a.getHostAddress());
                }
            } catch (UnknownHostException e) {
                line.append(" error: not found");
            }
            System.out.println(line);
        }
    }
}
