using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;

namespace RedisFailover.UnitTests.Client;

/// <summary>Whether the master of another incarnation holds the data that this client has worked with.</summary>
[TestFixture]
public sealed class KnownDataTests
{
    private static readonly NodeAddress A = new("a", 1), B = new("b", 1);
    private static readonly Topology InForce = new()
    {
        Epoch = 5, Incarnation = "one", Master = A, Replicas = [B], State = TopologyState.Ok,
    };

    [Test]
    public void The_replica_that_went_on_with_our_masters_history_is_followed()
        => Assert.That(Judge(B, Master("B1", "h2", "h1"), null).Followed);

    [Test]
    public void So_is_the_master_that_it_was_already_whatever_it_says_of_its_history()
        => Assert.That(Judge(A, Master("A2", "h9"), Master("A2", "h9")).Followed);

    [Test]
    public void So_is_the_one_that_our_former_master_follows_now_after_failovers_that_nobody_told_us_of()
        => Assert.That(Judge(B, Master("B1", "h7", "h6"), Replica("A2", "h7")).Followed);

    [Test]
    public void So_is_the_same_process_under_another_name()
        => Assert.That(Judge(B, Master("A1", "h1"), Master("A1", "h1")).Followed);

    [Test]
    public void One_with_other_data_is_not_and_writes_go_on_where_they_went()
    {
        IncarnationVerdict verdict = Judge(B, Master("X1", "x"), Master("A1", "h1"));
        Assert.That(verdict, Is.EqualTo(new IncarnationVerdict(false, false, "b:1 holds other data (replication id x)")));
    }

    [Test]
    public void A_master_that_came_back_with_what_ours_has_left_behind_is_not_followed_while_ours_serves()
    {
        IncarnationVerdict verdict = Judge(B, Master("B1", "h0"), Master("A1", "h1", "h0"));
        Assert.That((verdict.Followed, verdict.HoldsWrites), Is.EqualTo((false, true)), verdict.Reason);
        Assert.That(Judge(B, Master("B1", "h0"), null).Followed, "once ours is gone it is what is left");
    }

    [TestCase(null, "b:1 does not answer")]
    [TestCase("", "b:1 answers as a replica")]
    public void While_it_is_not_known_writes_are_held_where_the_topology_claims_our_data(string? says, string reason)
    {
        NodeInfo? named = says is null ? null : Replica("B1", "h1");
        KnownData known = Known();
        Topology claims = Next(B) with { Identity = new MasterIdentity("B1", "h2", "h1", 7, true) };
        Assert.That(known.Judge(claims, named, InForce, null), Is.EqualTo(new IncarnationVerdict(false, true, reason)));
        Assert.That(known.Judge(Next(B), named, InForce, null), Is.EqualTo(new IncarnationVerdict(false, false, reason)));
        IncarnationVerdict same = known.Judge(claims with { Master = A }, named, InForce, null);
        Assert.That(same.HoldsWrites, Is.False, "it is the one that is written to");
    }

    [Test]
    public void A_topology_without_a_master_is_waited_with()
    {
        var next = new Topology { Incarnation = "two", Identity = new MasterIdentity("A1", "h1", null, 7, true) };
        IncarnationVerdict verdict = Known().Judge(next, null, InForce, Master("A1", "h1"));
        Assert.That(verdict, Is.EqualTo(new IncarnationVerdict(false, true, "it names no master")));
    }

    [Test]
    public void Ids_of_nothing_are_no_common_history()
    {
        var known = new KnownData();
        known.Add(new MasterIdentity("", "", null, 0, false));
        Assert.That(known.Judge(Next(B), Master("", ""), InForce, null).Followed, Is.False);
    }

    [TestCase("-NOPERM this user has no permissions to run the 'info' command", true)]
    [TestCase("-ERR unknown command 'INFO'", true)]
    [TestCase("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", false)]
    [TestCase("-LOADING Redis is loading the dataset in memory", false)]
    public async Task What_the_topology_says_of_a_node_is_believed_only_where_INFO_is_denied(string said, bool believed)
    {
        await using var redis = new ScriptedRedis(command => command is ["INFO"] ? said + "\r\n" : null);
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        var described = new MasterIdentity("B1", "h2", "h1", 7, true);
        NodeInfo? info = await NodeQuestion.AskAsync(nodes, redis.Address, described, TimeSpan.FromSeconds(30), default);
        Assert.That(redis.Seen, Does.Contain("INFO"));
        Assert.That(info?.ReplicationId, Is.EqualTo(believed ? "h2" : null));
    }

    private static IncarnationVerdict Judge(NodeAddress master, NodeInfo? named, NodeInfo? serving)
        => Known().Judge(Next(master), named, InForce, serving);

    private static KnownData Known()
    {
        var known = new KnownData();
        known.Add(new MasterIdentity("A1", "h1", "h0", 100, true));
        return known;
    }

    private static Topology Next(NodeAddress master) => new() { Epoch = 1, Incarnation = "two", Master = master, State = TopologyState.Ok };

    private static NodeInfo Master(string runId, string history, string? before = null)
        => new() { Role = NodeRole.Master, RunId = runId, ReplicationId = history, PreviousReplicationId = before };

    private static NodeInfo Replica(string runId, string history) => Master(runId, history) with { Role = NodeRole.Replica };
}
