import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A candidate: stands for election until it leads, leads until Ctrl-C, and then gives the election back. Over HTTP, with
 * the JDK (11 or later) alone.
 *
 * <pre>java Leader.java NAME [ELECTION] [URL]</pre>
 */
public final class Leader {
    private static final long TERM_MS = 3000;
    private static final long RESOLUTION_MS = 10; // of now()

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final String name;
    private final URI route;
    private String token; // null: does not lead

    private Leader(String name, String election, String agent) {
        this.name = name;
        this.route = URI.create(agent + "/election/" + URLEncoder.encode(election, StandardCharsets.UTF_8).replace("+", "%20"));
    }

    /** Milliseconds that never go back and count a suspended machine's time, which System.nanoTime() does not. */
    private static long now() throws IOException {
        String seconds = Files.readString(Path.of("/proc/uptime")).split(" ")[0];
        return (long) (Double.parseDouble(seconds) * 1000);
    }

    /** An answer. The fields asked for are flat, so that a pattern finds them; a program with a JSON library uses that. */
    private static final class Answer {
        final int status;
        final String body;
        final long sent;

        Answer(HttpResponse<String> response, long sent) {
            this.status = response.statusCode();
            this.body = response.body();
            this.sent = sent;
        }

        String field(String key) {
            Matcher m = Pattern.compile("\"" + key + "\":\"?([^\",}]*)").matcher(body);
            return m.find() ? m.group(1) : "";
        }

        /** Until when it may be believed in: counted from before it was asked for. */
        long until() {
            return sent + Long.parseLong(field("expires_in")) - RESOLUTION_MS;
        }
    }

    private Answer ask(String method, String body, long timeoutMs) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(route).timeout(Duration.ofMillis(timeoutMs))
            .header("Content-Type", "application/json").method(method, BodyPublishers.ofString(body)).build();
        long sent = now();
        return new Answer(http.send(request, BodyHandlers.ofString()), sent);
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    /** Campaigns until elected. Returns until when the leadership may be believed in. */
    private long stand() throws IOException, InterruptedException {
        String told = "";
        while (true) {
            try {
                Answer answer;
                synchronized (this) { // against resign()
                    answer = ask("POST", "{\"candidate\":" + quoted(name) + ",\"term\":" + TERM_MS + "}", 5000);
                    if (answer.status == 200 && answer.field("elected").equals("true")) {
                        token = answer.field("token");
                        System.out.println("I, " + name + ", lead, with token " + token);
                        return answer.until();
                    }
                }
                if (answer.status != 200) {
                    System.err.println(answer.field("message"));
                } else if (!answer.field("leader").equals(told)) {
                    told = answer.field("leader");
                    System.out.println(told + " leads");
                }
            } catch (IOException e) {
                System.err.println(e);
            }
            Thread.sleep(TERM_MS / 6);
        }
    }

    /** Extends every third of the term. Returns when the leadership is lost. */
    private void lead(long until) throws IOException, InterruptedException {
        while (now() < until) {
            Thread.sleep(TERM_MS / 3);
            try {
                String extension = "{\"leader\":" + quoted(name) + ",\"term\":" + TERM_MS + ",\"token\":\"" + token + "\"}";
                Answer answer = ask("PATCH", extension, Math.max(1, until - now()));
                if (answer.status == 404 || answer.status == 409) {
                    break; // it is over, and somebody else may lead
                }
                if (answer.status == 200) {
                    until = answer.until();
                }
            } catch (IOException e) {
                // No answer: try again as long as the validity lasts.
            }
        }
        synchronized (this) {
            token = null;
        }
        System.out.println("I lead no more");
    }

    /** At the end of the program, on a thread of its own; nobody stands any more afterwards. */
    private synchronized void resign() {
        try {
            if (token != null && ask("DELETE", "{\"leader\":" + quoted(name) + ",\"token\":\"" + token + "\"}", 5000).status == 200) {
                System.out.println("resigned");
            }
        } catch (IOException | InterruptedException e) {
            System.err.println(e); // then the term has to end by itself
        }
        Runtime.getRuntime().halt(0);
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        if (args.length < 1) {
            System.err.println("usage: Leader NAME [ELECTION] [URL]");
            System.exit(2);
        }
        Leader leader = new Leader(args[0], args.length > 1 ? args[1] : "tour", args.length > 2 ? args[2] : "http://localhost:8080");
        Runtime.getRuntime().addShutdownHook(new Thread(leader::resign));
        while (true) {
            leader.lead(leader.stand());
        }
    }
}
