import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import io.netty.channel.Channel;
import java.util.Set;
import org.h2.mvstore.MVStore;

/** A MongoDB-wire server on one H2 file: Main HOST PORT FILE. SIGTERM stops it cleanly. */
public class Main {
    /** Commands that change nothing, so they need no turn in the queue of writers. Any other is taken for a write. */
    static final Set<String> READS = Set.of("hello", "ismaster", "buildinfo", "ping", "find", "getmore", "killcursors",
        "count", "distinct", "listcollections", "listdatabases", "listindexes", "serverstatus", "whatsmyuri", "endsessions");

    public static void main(String[] args) {
        // H2 commits by the clock, which would acknowledge a write up to a second before it is on disk and could tear
        // a document from its index. Durable commits each write instead; the clock is left for H2's housekeeping alone.
        var store = new MVStore.Builder().fileName(args[2]).open();
        store.setAutoCommitDelay(60_000);
        store.setRetentionTime(2_000); // superseded pages are kept for disks that reorder writes, which fsync rules out
        var server = new MongoServer(new Durable(store));
        server.bind(args[0], Integer.parseInt(args[1]));
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    }

    /** Answers a write only once it is on disk, whole: writes run one at a time, each followed by a commit and fsync. */
    static class Durable extends H2Backend {
        Durable(MVStore store) {
            super(store);
        }

        @Override
        public Document handleCommand(Channel channel, String database, String command, Document query) {
            if (READS.contains(command.toLowerCase())) {
                return super.handleCommand(channel, database, command, query);
            }
            synchronized (this) {
                try {
                    return super.handleCommand(channel, database, command, query);
                } finally {
                    if (getMvStore().hasUnsavedChanges()) {
                        getMvStore().commit();
                        getMvStore().sync();
                    }
                }
            }
        }
    }
}
