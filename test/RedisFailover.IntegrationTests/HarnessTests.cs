using System.Collections.Immutable;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests;

/// <summary>The harness itself: a test that stands on it must be able to trust it.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class HarnessTests
{
    [Test]
    public async Task A_replica_follows_its_master_and_a_killed_master_comes_back_on_its_port()
    {
        await using RedisServer master =
            await RedisServer.StartAsync(new RedisServerOptions { Persistence = RedisPersistence.AppendOnlyFile, Password = "secret" });
        await using RedisServer replica =
            await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = master.Address, Password = "secret" });
        await master.CommandAsync("SET", "k", "v");
        await Eventually.HoldsAsync("The replica has the key", ct => replica.CommandAsync(["GET", "k"], ct), reply => reply.Text == "v");
        Assert.That(await replica.MasterAsync(), Is.EqualTo(master.Address));

        await master.KillAsync();
        Assert.That(() => master.CommandAsync("PING"), Throws.InstanceOf<SocketException>());
        await master.RestartAsync();
        Assert.That((await master.CommandAsync("GET", "k")).Text, Is.EqualTo("v"));
        Assert.That(await master.RoleAsync(), Is.EqualTo("master"));

        await master.KillAsync();
        await master.RestartEmptyAsync();
        Assert.That((await master.CommandAsync("GET", "k")).Text, Is.Null);
    }

    [Test]
    public async Task A_frozen_server_keeps_its_connections_and_answers_when_it_is_thawed()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        await using RedisWire wire = await redis.ConnectAsync();
        redis.Freeze();
        Task<RedisReply> reply = wire.CommandAsync(["PING"]);
        Assert.That(await Task.WhenAny(reply, Task.Delay(100)), Is.Not.SameAs(reply));
        redis.Thaw();
        Assert.That((await reply).Text, Is.EqualTo("PONG"));
    }

    [Test]
    public async Task An_ensemble_elects_a_leader_and_keeps_its_data_over_a_restart_of_all()
    {
        await using ZooKeeperEnsemble ensemble = await ZooKeeperEnsemble.StartAsync();
        ZooKeeperServer leader = await ensemble.LeaderAsync();
        Assert.That((await ensemble.FollowerAsync()).Port, Is.Not.EqualTo(leader.Port));
        Assert.That(await leader.CliAsync(["create", "/kept", "yes"]), Does.Contain("Created /kept"));

        await Task.WhenAll(ensemble.Servers.Select(server => server.KillAsync()));
        await Task.WhenAll(ensemble.Servers.Select(server => server.StartAsync()));
        Assert.That(await ensemble.Servers[0].CliAsync(["get", "/kept"]), Does.Contain("yes"));
    }

    [Test]
    public async Task A_proxy_holds_delays_cuts_and_heals()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        await using FaultProxy proxy = FaultProxy.Start(redis.Address);
        await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", proxy.Port);
        Assert.That((await wire.CommandAsync(["PING"])).Text, Is.EqualTo("PONG"));

        proxy.Set(LinkState.AnswersLost);
        Task<RedisReply> incr = wire.CommandAsync(["INCR", "n"]);
        await Eventually.HoldsAsync("The server heard it", ct => redis.CommandAsync(["GET", "n"], ct), reply => reply.Text == "1");
        Assert.That(incr.IsCompleted, Is.False);
        proxy.Heal();
        Assert.That((await incr).Text, Is.EqualTo("1"));

        proxy.Cut();
        Assert.That(() => wire.CommandAsync(["PING"]), Throws.Exception);
        Assert.That(() => RedisWire.ConnectAsync("127.0.0.1", proxy.Port), Throws.InstanceOf<SocketException>());
        proxy.Heal();
        await using RedisWire again = await RedisWire.ConnectAsync("127.0.0.1", proxy.Port);
        Assert.That((await again.CommandAsync(["PING"])).Text, Is.EqualTo("PONG"));
    }

    [Test]
    public async Task A_child_that_ends_shows_its_lines_and_its_exit_code()
    {
        ImmutableArray<string> arguments = ["-c", "echo out; echo err >&2; exit 3"];
        await using ChildProcess child = await ChildProcess.StartAsync(new ChildProcessOptions("sh", "/bin/sh", arguments));
        Assert.That(await child.WaitForExitAsync(), Is.EqualTo(3));
        Assert.That(child.Output, Is.EqualTo(new[] { "out" }));
        Assert.That(child.Errors, Is.EqualTo(new[] { "err" }));
    }

    [Test]
    public void A_condition_that_never_holds_says_what_was_seen_last()
        => Assert.That(
            () => Eventually.HoldsAsync("The number is two", _ => Task.FromResult(1), n => n == 2, TimeSpan.FromMilliseconds(20), ()
                => "the log"),
            Throws.InstanceOf<TimeoutException>().With.Message.Contains("Last seen: 1").And.Message.Contains("the log"));

    [Test]
    public void Ports_are_never_handed_out_twice()
    {
        int[] ports = [.. Enumerable.Range(0, 50).Select(_ => FreePorts.Next())];
        Assert.That(ports, Is.Unique);
    }
}
