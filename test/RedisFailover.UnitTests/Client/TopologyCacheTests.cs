using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using Waiting = RedisFailover.UnitTests.ZooKeeper.Waiting;

namespace RedisFailover.UnitTests.Client;

[TestFixture]
public sealed class TopologyCacheTests
{
    private static readonly Topology s_topology = new() { Epoch = 3, Master = new NodeAddress("a", 1), State = TopologyState.Ok };

    [Test]
    public async Task Only_its_owner_may_read_it_and_nothing_is_left_beside_it()
    {
        using Folder folder = new();
        await new TopologyCache(folder.File, NullLogger.Instance).SaveAsync(s_topology, default);
        Assert.That(new FileInfo(folder.File).UnixFileMode, Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        Assert.That(Directory.GetFiles(folder.Path), Has.Length.EqualTo(1));
        Assert.That(new TopologyCache(folder.File, NullLogger.Instance).Load()!.Master, Is.EqualTo(s_topology.Master));
    }

    [Test]
    public async Task What_a_crash_left_half_written_is_neither_read_nor_in_the_way()
    {
        using Folder folder = new();
        TopologyCache cache = new(folder.File, NullLogger.Instance);
        await cache.SaveAsync(s_topology, default);
        await File.WriteAllTextAsync(folder.File + ".new", "{ \"epoch\": 9");
        Assert.That(cache.Load()!.Epoch, Is.EqualTo(3));
        await cache.SaveAsync(s_topology with { Epoch = 4 }, default);
        Assert.That(cache.Load()!.Epoch, Is.EqualTo(4));
    }

    [Test]
    public async Task A_link_under_the_temporary_name_is_not_written_through()
    {
        using Folder folder = new();
        string victim = Path.Combine(folder.Path, "victim");
        await File.WriteAllTextAsync(victim, "kept");
        File.CreateSymbolicLink(folder.File + ".new", victim);
        await new TopologyCache(folder.File, NullLogger.Instance).SaveAsync(s_topology, default);
        Assert.That(await File.ReadAllTextAsync(victim), Is.EqualTo("kept"));
        Assert.That(new FileInfo(folder.File).LinkTarget, Is.Null);
    }

    [Test]
    public async Task A_file_that_cannot_be_written_or_read_stops_nobody()
    {
        TopologyCache cache = new("/nowhere/to/be/found.json", NullLogger.Instance);
        await cache.SaveAsync(s_topology, default);
        Assert.That(cache.Load(), Is.Null);
    }

    /// <summary>By a link: a mistake replaces that and not the device of the machine that the test runs on.</summary>
    [TestCase("/dev/null")]
    [TestCase("/dev/zero")]
    [TestCase("/usr")]
    public async Task What_is_no_file_is_neither_read_nor_replaced_and_stops_nobody(string path)
    {
        using Folder folder = new();
        File.CreateSymbolicLink(folder.File, path);
        TopologyCache cache = new(folder.File, NullLogger.Instance);
        await cache.SaveAsync(s_topology, default);
        Assert.That(new FileInfo(folder.File).LinkTarget, Is.EqualTo(path));
        Assert.That(cache.Load(), Is.Null);
        Assert.That(File.Exists(folder.File + ".new"), Is.False);
    }

    [Test]
    public async Task A_path_that_can_name_no_file_stops_nobody()
    {
        TopologyCache cache = new("a\0b", NullLogger.Instance);
        await cache.SaveAsync(s_topology, default);
        Assert.That(cache.Load(), Is.Null);
    }

    [Test]
    public async Task Of_those_that_come_while_it_saves_the_latest_is_kept()
    {
        using Folder folder = new();
        TopologyCache cache = new(folder.File, NullLogger.Instance);
        for (int epoch = 1; epoch <= 100; epoch++)
        {
            cache.Keep(s_topology with { Epoch = epoch });
        }

        await cache.DisposeAsync();
        Assert.That(cache.Load()!.Epoch, Is.EqualTo(100));
    }

    [Test]
    public async Task Once_ZooKeeper_has_told_a_topology_the_file_is_not_started_from()
    {
        using Folder folder = new();
        await using var nodes = new NodeSet(new FailoverOptions { TopologyCacheFile = folder.File }, NullLogger.Instance);
        var topologies = new WarmupTopologies();
        await using var follower = new TopologyFollower(topologies, nodes, NullLogger.Instance);
        topologies.Publish(s_topology);
        TopologyCache cache = new(folder.File, NullLogger.Instance);
        await Waiting.Until(() => cache.Load() is not null);
        await cache.SaveAsync(s_topology with { Master = new NodeAddress("former", 1) }, default);
        Assert.That(follower.StartFromCache(), Is.False);
        Assert.That((nodes.Current.Topology.Master, nodes.TopologyFile), Is.EqualTo((s_topology.Master, (string?)null)));
    }

    private sealed class Folder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("redis-failover-cache").FullName;

        public string File => System.IO.Path.Combine(Path, "topology.json");

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
