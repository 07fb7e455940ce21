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
        NodeInfo info = NodeInfo.Parse("run_id:x\r\nrole:master\r\nmaster_replid:new\r\nmaster_replid2:old\r\nmaster_repl_offset:90\r\nsecond_repl_offset:81\r\n");
        var lost = new MasterIdentity("r", "old", null, 85, HasData: true);

        Assert.Multiple(() =>
        {
            Assert.That(info.SharesHistoryWith(lost));
            Assert.That(info.PreviousHistoryEnd, Is.EqualTo(81));
            Assert.That(info.SharesHistoryWith(lost with { ReplicationId = "other" }), Is.False);
        });
    }

    [Test]
    public void An_unknown_history_is_shared_with_nobody()
        => Assert.That(NodeInfo.Parse("run_id:x\nrole:master\n").SharesHistoryWith(new MasterIdentity("", "", null, 0, false)), Is.False);

    [TestCase("rdb_last_bgsave_status:err", true, ExpectedResult = true)]
    [TestCase("rdb_last_bgsave_status:err", false, ExpectedResult = false, Description = "no save points, or stop-writes-on-bgsave-error no")]
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
}
