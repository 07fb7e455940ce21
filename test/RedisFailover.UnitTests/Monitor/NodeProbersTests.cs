using System.Collections.Concurrent;
using System.Threading.Channels;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.Redis;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class NodeProbersTests
{
    [Test]
    public async Task A_node_whose_name_is_doubted_is_connected_anew_by_a_prober_of_its_own()
    {
        await using var node = new FakeNode(command => command[0] == "INFO" ? FakeNode.Bulk("role:master\r\nrun_id:x\r\n") : "+OK\r\n");
        var observations = Channel.CreateUnbounded<Observation>();
        await using var probers = new NodeProbers(
            MonitorOptions.Nothing with { Nodes = [node.Address], ProbeTimeout = TimeSpan.FromSeconds(5), MaxFailures = 3 }, "candidate",
            observations.Writer, new MonotonicClock(TimeProvider.System));
        probers.Watch(node.Address);
        NodeProber first = probers.All[node.Address];
        await Waiting.Until(() => node.Connections == 1);

        probers.Reconnect(node.Address);
        await first.Running.WithinDeadline();
        await Waiting.Until(() => node.Connections > 1);
        Assert.That(probers.All[node.Address], Is.Not.SameAs(first));

        probers.Reconnect(new NodeAddress("nobody", 1));
        Assert.That(probers.All.Keys, Is.EqualTo(new[] { node.Address }), "one that is not watched is not watched now");
    }

    [Test]
    public async Task What_a_leader_before_has_told_of_a_file_is_asked_of_a_member_alone()
    {
        var asked = new ConcurrentQueue<string>();
        await using var node = new FakeNode(command =>
        {
            asked.Enqueue(string.Join(' ', command));
            return command[0] == "INFO" ? FakeNode.Bulk("role:master\r\nrun_id:x\r\n") : "+OK\r\n";
        });
        var observations = Channel.CreateUnbounded<Observation>();
        MonitorOptions options = MonitorOptions.Nothing with
        {
            Nodes = [node.Address], ProbeTimeout = TimeSpan.FromSeconds(5), MaxFailures = 3,
        };
        await using var probers = new NodeProbers(options, "candidate", observations.Writer, new MonotonicClock(TimeProvider.System))
        {
            Lead = () => (1, true),
        };
        probers.Watch(node.Address);
        var view = new ClusterView();
        while (view.Node(node.Address).Info is null)
        {
            view = view.Apply(await observations.Reader.ReadAsync().AsTask().WithinDeadline(), options.Policy);
        }

        Problem[] told = [Problem.Of(ProblemCatalogue.RoleNotPersisted, "its file is read-only", node.Address)];
        probers.Inherit(told, view);
        await probers.All[node.Address].InspectAsync(default).WithinDeadline();
        Assert.That(asked, Has.None.EqualTo("CONFIG REWRITE"));

        probers.Inherit(told, view with { Topology = Topology.None with { Master = node.Address } });
        await Waiting.Until(() => asked.Contains("CONFIG REWRITE"));
    }
}
