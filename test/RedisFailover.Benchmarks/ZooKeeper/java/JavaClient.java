import com.sun.management.OperatingSystemMXBean;
import com.sun.management.ThreadMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/**
 * The Java side of the comparison: takes a command per line and answers with one line of numbers.
 * get|set IN_FLIGHT COUNT, event COUNT, watchers SESSIONS EACH ROUNDS.
 */
public class JavaClient {
    private static final byte[] DATA = new byte[128];
    private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private static String server;
    private static ZooKeeper zk;

    public static void main(String[] args) throws Exception {
        server = args[0];
        zk = connect();
        try {
            zk.create("/java", DATA, ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        } catch (KeeperException.NodeExistsException e) {
            // From an earlier run.
        }
        System.out.println("ready");
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] c = line.split(" ");
            switch (c[0]) {
                case "get", "set" -> operations(c[0].equals("set"), Integer.parseInt(c[1]), Integer.parseInt(c[2]));
                case "event" -> event(Integer.parseInt(c[1]));
                case "watchers" -> watchers(Integer.parseInt(c[1]), Integer.parseInt(c[2]), Integer.parseInt(c[3]));
                default -> System.out.println("? " + line);
            }
        }
        zk.close();
    }

    private static ZooKeeper connect() throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper client = new ZooKeeper(server, 10000, e -> connected.countDown());
        connected.await();
        return client;
    }

    /** One in flight: the synchronous call. More: the asynchronous one, from one thread, as many at a time as asked for. */
    private static void operations(boolean set, int inFlight, int count) throws Exception {
        long[] nanos = inFlight == 1 ? new long[count] : new long[0];
        long allocated = allocated();
        long cpu = SYSTEM.getProcessCpuTime();
        long start = System.nanoTime();
        if (inFlight == 1) {
            for (int i = 0; i < count; i++) {
                long begin = System.nanoTime();
                if (set) {
                    zk.setData("/java", DATA, -1);
                } else {
                    zk.getData("/java", false, null);
                }
                nanos[i] = System.nanoTime() - begin;
            }
        } else {
            Semaphore slots = new Semaphore(inFlight);
            for (int i = 0; i < count; i++) {
                slots.acquire();
                if (set) {
                    zk.setData("/java", DATA, -1, (rc, path, context, stat) -> slots.release(), null);
                } else {
                    zk.getData("/java", false, (rc, path, context, data, stat) -> slots.release(), null);
                }
            }
            slots.acquire(inFlight);
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        double cpuMicros = (SYSTEM.getProcessCpuTime() - cpu) / 1e3 / count;
        double bytes = (double) (allocated() - allocated) / count;
        Arrays.sort(nanos);
        System.out.printf(Locale.ROOT, "%.0f %.1f %.1f %.2f %.0f%n", count / seconds, percentile(nanos, 50), percentile(nanos, 99), cpuMicros, bytes);
    }

    /** From the call of setData in one session to the callback in another. */
    private static void event(int count) throws Exception {
        ZooKeeper watching = connect();
        long[] nanos = new long[count];
        for (int i = 0; i < count; i++) {
            CountDownLatch told = new CountDownLatch(1);
            AtomicLong at = new AtomicLong();
            watching.getData("/java", e -> {
                at.set(System.nanoTime());
                told.countDown();
            }, null);
            long begin = System.nanoTime();
            zk.setData("/java", DATA, -1, (rc, path, context, stat) -> { }, null);
            told.await();
            nanos[i] = at.get() - begin;
        }
        watching.close();
        Arrays.sort(nanos);
        System.out.printf(Locale.ROOT, "%.1f %.1f%n", percentile(nanos, 50), percentile(nanos, 99));
    }

    /** From the call of setData until the last of all watchers was told. */
    private static void watchers(int sessions, int each, int rounds) throws Exception {
        List<ZooKeeper> watching = new ArrayList<>();
        for (int i = 0; i < sessions; i++) {
            watching.add(connect());
        }
        long[] nanos = new long[rounds];
        for (int r = 0; r < rounds; r++) {
            CountDownLatch set = new CountDownLatch(sessions * each);
            CountDownLatch told = new CountDownLatch(sessions * each);
            for (ZooKeeper w : watching) {
                for (int i = 0; i < each; i++) {
                    // Captures: each is a watcher of its own.
                    int number = i;
                    w.getData("/java", e -> { if (number >= 0) told.countDown(); }, (rc, path, context, data, stat) -> set.countDown(), null);
                }
            }
            set.await();
            long begin = System.nanoTime();
            zk.setData("/java", DATA, -1, (rc, path, context, stat) -> { }, null);
            told.await();
            nanos[r] = System.nanoTime() - begin;
        }
        for (ZooKeeper w : watching) {
            w.close();
        }
        Arrays.sort(nanos);
        System.out.printf(Locale.ROOT, "%.1f %.1f%n", percentile(nanos, 50), percentile(nanos, 99));
    }

    private static long allocated() {
        long sum = 0;
        for (long bytes : THREADS.getThreadAllocatedBytes(THREADS.getAllThreadIds())) {
            sum += Math.max(bytes, 0);
        }
        return sum;
    }

    private static double percentile(long[] sorted, int percent) {
        return sorted.length == 0 ? 0 : sorted[Math.min(sorted.length - 1, sorted.length * percent / 100)] / 1e3;
    }
}
