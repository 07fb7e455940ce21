using System.Reflection;
using NUnit.Framework;

namespace RedisFailover.UnitTests;

/// <summary>The arrows between the projects: who may know whom.</summary>
[TestFixture]
public sealed class ArchitectureTests
{
    private static readonly Assembly Core = typeof(Topology).Assembly;
    private static readonly Assembly ZooKeeper = typeof(RedisFailover.ZooKeeper.ZooKeeperSession).Assembly;
    private static readonly Assembly Client = typeof(RedisFailover.Client.FailoverConnection).Assembly;
    private static readonly Assembly Monitor = typeof(RedisFailover.Monitor.Options.MonitorOptions).Assembly;

    [Test]
    public void Core_uses_the_framework_alone()
        => Assert.That(References(Core).Where(r => !r.StartsWith("System.", StringComparison.Ordinal)), Is.Empty);

    [Test]
    public void ZooKeeper_uses_nothing_of_ours() => Assert.That(Ours(ZooKeeper), Is.Empty);

    [Test]
    public void Client_and_monitor_use_core_and_zookeeper_and_never_meet() => Assert.Multiple(() =>
    {
        Assert.That(Ours(Client), Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper"]));
        Assert.That(Ours(Monitor), Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper"]));
    });

    [Test]
    public void The_extensions_use_the_client_and_never_meet_the_monitor()
        => Assert.That(
            Ours(typeof(RedisFailover.Client.Extensions.RedisFailoverServices).Assembly),
            Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper", "RedisFailover.Client"]));

    [Test]
    public void The_client_needs_no_host_and_no_container()
        => Assert.That(References(Client).Where(name => name.StartsWith("Microsoft.Extensions.", StringComparison.Ordinal)),
            Is.SubsetOf(["Microsoft.Extensions.Logging.Abstractions"]));

    [Test]
    public void The_tool_uses_the_client_but_not_the_monitor()
        => Assert.That(Ours(Assembly.Load("redis-failover")),
            Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper", "RedisFailover.Client"]));

    [Test]
    public void Core_has_no_clock_and_does_no_input_or_output()
    {
        string[] banned =
            ["System.Net.Sockets", "System.Net.NameResolution", "System.IO.FileSystem", "System.Threading.Channels", "System.Threading.Thread"];

        Assert.That(References(Core).Intersect(banned), Is.Empty);
    }

    private static IEnumerable<string> References(Assembly assembly) => assembly.GetReferencedAssemblies().Select(a => a.Name!);

    private static IEnumerable<string> Ours(Assembly assembly)
        => References(assembly)
            .Where(r
                => r.StartsWith("RedisFailover", StringComparison.Ordinal) || r.StartsWith("redis-failover", StringComparison.Ordinal));
}
