import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** ZooKeeper's own client: writes one znode, watches another, says what it saw. */
public class Watch {
    public static void main(String[] args) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(args[0], 4000, e -> connected.countDown());
        connected.await();
        zk.create(args[1] + "/from-java", "written by java \u00e9".getBytes(StandardCharsets.UTF_8), ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        CountDownLatch changed = new CountDownLatch(1);
        byte[] before = zk.getData(args[1] + "/from-us", e -> changed.countDown(), new Stat());
        System.out.println("java sees " + new String(before, StandardCharsets.UTF_8));
        changed.await();
        Stat stat = new Stat();
        byte[] after = zk.getData(args[1] + "/from-us", null, stat);
        System.out.println("java was told, sees " + new String(after, StandardCharsets.UTF_8) + " version " + stat.getVersion());
        zk.close();
    }
}
