using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class NodeInfoTests
{
    private const string Replica = """
        # Server
        redis_version:7.0.15
        run_id:3d1e
        # Persistence
        loading:0
        # Replication
        role:slave
        master_host:LocalHost
        master_port:7001
        master_link_status:up
        master_sync_in_progress:0
        slave_read_repl_offset:1234
        slave_repl_offset:1230
        slave_priority:50
        connected_slaves:0
        master_replid:aaaa
        master_replid2:0000000000000000000000000000000000000000
        master_repl_offset:1234
        second_repl_offset:-1
        # Keyspace
        db0:keys=3,expires=1,avg_ttl=0
        db5:keys=4,expires=0,avg_ttl=0
        """;

    [Test]
    public void A_replica_says_whom_it_follows_and_how_far_it_is()
    {
        NodeInfo info = NodeInfo.Parse(Replica);

        Assert.Multiple(() =>
        {
            Assert.That(info.Role, Is.EqualTo(NodeRole.Replica));
            Assert.That(info.MasterAddress, Is.EqualTo(new NodeAddress("localhost", 7001)));
            Assert.That(info.LinkUp);
            Assert.That(info.Offset, Is.EqualTo(1230));
            Assert.That(info.Priority, Is.EqualTo(50));
            Assert.That(info.Keys, Is.EqualTo(7));
            Assert.That(info.PreviousReplicationId, Is.Null);
            Assert.That(info.Version, Is.EqualTo("7.0.15"));
        });
    }

    [Test]
    public void A_promoted_master_remembers_the_history_that_it_continues()
    {
        NodeInfo info = NodeInfo.Parse(
                "run_id:x\r\nrole:master\r\nmaster_replid:new\r\nmaster_replid2:old\r\nmaster_repl_offset:90\r\nsecond_repl_offset:81\r\n");
        var lost = new MasterIdentity("r", "old", null, 85, HasData: true);

        Assert.Multiple(() =>
        {
            Assert.That(info.SharesHistoryWith(lost));
            Assert.That(info.PreviousHistoryEnd, Is.EqualTo(81));
            Assert.That(info.SharesHistoryWith(lost with { ReplicationId = "other" }), Is.False);
        });
    }

    // The lost master continued history X as Y from offset 200 on.
    [TestCase("Y", "X", 151, 150, ExpectedResult = 150, Description = "it follows the lost master and has not come to 200 yet")]
    [TestCase("Y", "X", 201, 260, ExpectedResult = 260, Description = "it followed the lost master beyond 200")]
    [TestCase("X", null, -1, 250, ExpectedResult = 200, Description = "it went on with X")]
    [TestCase("X", null, -1, 180, ExpectedResult = 180, Description = "it stopped in X")]
    [TestCase("Z", "X", 191, 400, ExpectedResult = 190, Description = "it left X for another history before")]
    [TestCase("Z", "Y", 231, 400, ExpectedResult = 230, Description = "it left the lost master for another history")]
    [TestCase("Z", "W", 231, 400, ExpectedResult = null, Description = "another history")]
    public long? What_a_node_has_in_common_with_a_master_ends_where_they_parted(string id, string? previous, long end, long offset)
        => new NodeInfo { Role = NodeRole.Replica, RunId = "r", ReplicationId = id, PreviousReplicationId = previous,
            PreviousHistoryEnd = end, Offset = offset }
            .CommonOffset(new MasterIdentity("m", "Y", "X", 300, HasData: true) { PreviousHistoryEnd = 201 });

    [Test]
    public void Where_it_is_not_known_when_two_parted_nothing_is_known_to_be_common()
        => Assert.That(
            new NodeInfo { Role = NodeRole.Replica, RunId = "r", ReplicationId = "X",
                Offset = 250 }.CommonOffset(new MasterIdentity("m", "Y", "X", 300, HasData: true)),
            Is.Null);

    [Test]
    public void An_unknown_history_is_shared_with_nobody()
        => Assert.That(NodeInfo.Parse("run_id:x\nrole:master\n").SharesHistoryWith(new MasterIdentity("", "", null, 0, false)), Is.False);

    [TestCase("rdb_last_bgsave_status:err", true, ExpectedResult = true)]
    [TestCase("rdb_last_bgsave_status:err", false, ExpectedResult = false,
        Description = "no save points, or stop-writes-on-bgsave-error no")]
    [TestCase("rdb_last_bgsave_status:ok", true, ExpectedResult = false)]
    [TestCase("aof_enabled:1\naof_last_write_status:err", false, ExpectedResult = true)]
    [TestCase("aof_enabled:0\naof_last_write_status:err", true, ExpectedResult = false)]
    public bool A_node_that_cannot_save_refuses_writes(string persistence, bool stopsOnSaveError)
        => (NodeInfo.Parse($"run_id:x\nrole:master\n{persistence}\n") with { StopsWritesOnSaveError = stopsOnSaveError }).RefusesWrites;

    [TestCase("", "no 'role'")]
    [TestCase("<html>\nrole:master", "no 'run_id'")]
    [TestCase("run_id:x\nrole:king", "role:king")]
    [TestCase("run_id:x\nrole:slave\nslave_repl_offset:many", "slave_repl_offset:many")]
    public void Nonsense_is_refused_with_a_word(string info, string word)
        => Assert.That(() => NodeInfo.Parse(info), Throws.TypeOf<FormatException>().With.Message.Contains(word));

    [Test]
    public void What_else_INFO_tells_is_read()
    {
        NodeInfo info = NodeInfo.Parse("""
            redis_version:7.2.4
            server_name:valkey
            valkey_version:8.0.1
            redis_mode:cluster
            run_id:x
            shutdown_in_milliseconds:8200
            aof_enabled:1
            sync_full:7
            role:master
            connected_slaves:2
            slave0:ip=10.0.0.2,port=6379,state=online,offset=42,lag=0
            slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0
            min_slaves_good_slaves:1
            """);
        Assert.Multiple(() =>
        {
            Assert.That((info.Software, info.Mode), Is.EqualTo((new ServerSoftware("valkey", "8.0.1"), "cluster")));
            Assert.That(info.ShutsDownIn, Is.EqualTo(TimeSpan.FromMilliseconds(8200)));
            Assert.That(info.Persists, Is.True);
            Assert.That((info.FullCopies, info.GoodReplicas), Is.EqualTo((7L, (int?)1)));
            Assert.That(info.Replicas.Select(r => (r.Replica.Port, r.State, r.Offset)),
                Is.EqualTo(new[] { (6379, "online", 42L), (6379, "wait_bgsave", 0L) }));
            Assert.That(info.Attached, Is.EqualTo(new[] { new NodeAddress("10.0.0.2", 6379) }));
        });
    }

    [TestCase("redis", "7.0.15", "redis", "7.4.1", ExpectedResult = false)]
    [TestCase("redis", "7.0.15", "valkey", "8.0.1", ExpectedResult = false)]
    [TestCase("redis", "7.4.1", "redis", "7.0.15", ExpectedResult = true)]
    [TestCase("redis", "5.0.14", "redis", "6.2.16", ExpectedResult = true)]
    [TestCase("redis", "8.0-m01", "redis", "7.4.1", ExpectedResult = true)]
    [TestCase("redis", "7.4.1", "valkey", "9.0.0", ExpectedResult = false)]
    [TestCase("redis", "", "redis", "7.4.1", ExpectedResult = true)]
    public bool Which_full_copies_a_server_can_load_is_known(string name, string version, string otherName, string otherVersion)
        => new ServerSoftware(name, version).CanRead(new ServerSoftware(otherName, otherVersion));

    [Test]
    public void The_least_rights_are_those_of_the_list()
    {
        Assert.That(NodeRight.MinimalAcl(new Version(7, 0)), Is.EqualTo(
            "resetkeys resetchannels &__Booksleeve_MasterChanged -@all +info +ping +multi +exec +discard +publish +acl|log "
                + "+failover|abort +replicaof +client|pause "
            + "+client|unpause +client|kill +client|list +client|setname +config|get +config|set +config|rewrite"));
        Assert.That(NodeRight.MinimalAcl(new Version(6, 0)), Does.StartWith("resetkeys -@all +info "));
    }

    [Test]
    public void Full_copies_are_counted_as_long_as_they_follow_each_other()
    {
        var node = new NodeAddress("a", 1);
        var policy = new FailoverPolicy { Nodes = [node] };
        NodeView view = new(node);

        Assert.That(At(1, 5).FullCopiesInARow, Is.Zero, "what was before is not known");
        Assert.That(At(2, 6).FullCopiesInARow, Is.EqualTo(1));
        Assert.That((At(3, 9).FullCopiesInARow, view.FullCopiesSince), Is.EqualTo((4L, (TimeSpan?)TimeSpan.FromSeconds(2))));
        Assert.That(At(400, 9).FullCopiesInARow, Is.Zero);
        Assert.That(At(401, 10).FullCopiesInARow, Is.EqualTo(1));

        NodeView At(int seconds, long copies)
        {
            var at = TimeSpan.FromSeconds(seconds);
            var info = new NodeInfo { Role = NodeRole.Master, RunId = "x", FullCopies = copies };
            var before = new ClusterView { Nodes = new ClusterView().Nodes.Add(node, view) };
            return view = before.Apply(new NodeAnswered(at, at, node, info, TimeSpan.Zero), policy).Node(node);
        }
    }
}
