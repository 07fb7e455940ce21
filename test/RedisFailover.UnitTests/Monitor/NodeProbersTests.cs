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
}
