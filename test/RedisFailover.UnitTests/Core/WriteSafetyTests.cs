using System.Collections.Immutable;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

/// <summary>Whose word on an acknowledged write counts, where the scenarios do not show it.</summary>
[TestFixture]
public sealed class WriteSafetyTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly NodeAddress B = new("b", 1);
    private static readonly NodeAddress C = new("c", 1);
    private static readonly FailoverPolicy Policy = new() { Nodes = [A, B, C], WriteSafety = WriteSafetyMode.Replicated };
    private static readonly TimeSpan Ms = TimeSpan.FromMilliseconds(1);

    [Test]
    public void A_lost_master_holds_its_writes_as_long_as_it_runs_also_where_no_set_was_published_before()
    {
        Topology intent = new()
        {
            State = TopologyState.FailingOver,
            Epoch = 2,
            Replicas = [B, C],
            Members = [A, B, C],
            Identity = new MasterIdentity("run-of-a", "X", null, 100, HasData: true),
            Intent = new FailoverIntent(A, null),
        };
        Assert.That(UnderB(intent).Runs, Is.EqualTo(ImmutableSortedDictionary<NodeAddress, string>.Empty.Add(A, "run-of-a")));
    }

    [Test]
    public void The_run_of_a_replica_is_not_taken_for_that_of_a_master_that_nobody_has_seen()
    {
        ClusterView view = Led(null)
            .Apply(new NodeAnswered(10 * Ms, 10 * Ms, B, Replica("run-of-b"), Ms), Policy)
            .Apply(new NodeAnswered(10 * Ms, 10 * Ms, C, Replica("run-of-c"), Ms), Policy);
        for (int i = 0; i < Policy.MaxFailures; i++)
        {
            view = view.Apply(new NodeFailed((11 + i) * Ms, A, ProbeFailure.Refused, "connection refused"), Policy);
        }

        Topology intent = Published(view, TimeSpan.FromSeconds(10));
        Assert.That((intent.State, intent.Intent?.From, intent.Identity?.ReplicationId), Is.EqualTo((TopologyState.FailingOver, A, "X")));
        Assert.That(UnderB(intent).Runs, Is.Empty);
    }

    [TestCase(100)]
    [TestCase(90)]
    public void A_node_that_returns_is_in_the_set_at_once_and_does_not_leave_it_again_before_the_votes_have_caught_up(long offsetOfTheOther)
    {
        MonitorReport missed = MonitorReport.None with { Unavailable = [C] };
        Topology topology = new()
        {
            Master = A,
            State = TopologyState.Ok,
            Epoch = 2,
            Replicas = [B],
            Unavailable = [C],
            Members = [A, B, C],
            WriteQuorum = new WriteQuorum(1, [B], 1, MinReplicas.Default),
        };
        ClusterView view = Led(topology)
            .Apply(new MonitorCame(3 * Ms, "m2"), Policy)
            .Apply(new MonitorCame(3 * Ms, "m3"), Policy)
            .Apply(new MonitorReported(3 * Ms, "m2", missed), Policy)
            .Apply(new MonitorReported(3 * Ms, "m3", missed), Policy)
            .Apply(
                new NodeAnswered(10 * Ms, 10 * Ms, A, Master("run-of-a") with { Attached = [B], MinReplicas = new MinReplicas(1, 10) }, Ms),
                    Policy)
            .Apply(new NodeAnswered(10 * Ms, 10 * Ms, B, Replica("run-of-b") with { LinkUp = true, Offset = offsetOfTheOther }, Ms), Policy)
            .Apply(new NodeAnswered(11 * Ms, 11 * Ms, C, Master("run-of-c") with { Offset = 80 }, Ms), Policy);

        Assert.That(Published(view, 12 * Ms).WriteQuorum!.Replicas, Is.EqualTo([B, C]));
    }

    /// <summary>What is published when b was promoted.</summary>
    private static WriteQuorum UnderB(Topology intent) => Published(
        WithAnEpochOfItsOwn(Led(intent)).Apply(
            new ActionFinished(10 * Ms, new Promote(B),
                Info: Master("run-of-b") with { ReplicationId = "Y", PreviousReplicationId = "X", PreviousHistoryEnd = 101 }), Policy),
        11 * Ms).WriteQuorum!;

    /// <summary>Whoever takes a change over writes it down under an epoch of its own before it goes on.</summary>
    private static ClusterView WithAnEpochOfItsOwn(ClusterView view)
    {
        ImmutableArray<FailoverAction> actions = FailoverDecider.Decide(view, Policy, 3 * Ms).Actions;
        return view.Start(actions, 3 * Ms)
            .Apply(new ActionFinished(4 * Ms, actions.OfType<PublishTopology>().Single(), Version: 4), Policy);
    }

    private static Topology Published(ClusterView view, TimeSpan now)
        => FailoverDecider.Decide(view, Policy, now).Actions.OfType<PublishTopology>().Single().Next;

    private static ClusterView Led(Topology? topology)
        => new ClusterView { Nodes = Policy.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) }
        .Apply(new LeadershipGained(Ms, 1), Policy)
        .Apply(new TopologyRead(2 * Ms, topology is null ? -1 : 3, topology, null, topology?.Epoch ?? 0, Synced: true), Policy);

    private static NodeInfo Master(string run) => Replica(run) with { Role = NodeRole.Master, MasterAddress = null };

    private static NodeInfo Replica(string run) => new()
    {
        Role = NodeRole.Replica,
        RunId = run,
        Version = "7.0.15",
        MasterAddress = A,
        ReplicationId = "X",
        Offset = 100,
        Keys = 5,
    };
}
