using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.Monitor.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
internal sealed class ClusterAdmissionTests
{
    private static readonly NodeAddress s_a = new("a", 1);
    private static readonly NodeAddress s_d = new("d", 1);

    [Test]
    public async Task A_monitor_with_other_nodes_waits_until_the_topology_knows_one()
    {
        using ClusterAdmission admission = new([s_a]);
        List<Topology?> told = [];
        admission.Excluded = told.Add;
        admission.See(Known(s_d));
        using CancellationTokenSource brief = new(TimeSpan.FromMilliseconds(50));
        Assert.That(async () => await admission.WaitAsync(brief.Token), Throws.InstanceOf<OperationCanceledException>());
        admission.See(Known(s_a, s_d));
        await admission.WaitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.That(told.Select(t => t is null), Is.EqualTo(new[] { false, true }));
    }

    [Test]
    public async Task A_monitor_whose_file_names_nodes_that_were_removed_since_still_belongs()
    {
        using ClusterAdmission admission = new([s_a]);
        admission.See(Known(s_a));
        CancellationToken admitted = admission.WhileAdmitted;
        admission.See(ClusterConfig.Empty with { Nodes = [new ConfiguredNode(s_d)], Removed = [s_a] });
        admission.See(Known(s_d));
        Assert.That(admitted.IsCancellationRequested, Is.False);
        await admission.WaitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(10));

        // So does one that is started later.
        using ClusterAdmission later = new([s_a]);
        later.See(Known(s_d));
        later.See(ClusterConfig.Empty with { Nodes = [new ConfiguredNode(s_d)], Removed = [s_a] });
        await later.WaitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(10));
    }

    private static Topology Known(params ImmutableArray<NodeAddress> members) => new() { Members = members };
}
