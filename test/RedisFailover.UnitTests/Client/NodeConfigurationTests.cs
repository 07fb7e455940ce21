using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.UnitTests.Client;

/// <summary>What StackExchange.Redis 3.4 would do otherwise on a node's own connection.</summary>
[TestFixture]
public sealed class NodeConfigurationTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    [Test]
    public async Task A_call_on_a_lost_connection_fails_at_once_and_does_not_wait_five_seconds_in_the_backlog()
    {
        await using var redis = new ScriptedRedis();
        await using ConnectionMultiplexer multiplexer = await ConnectAsync(redis.Address.Port, s_limit).WaitAsync(s_limit);
        var lost = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        multiplexer.ConnectionFailed += (_, _) => lost.TrySetResult();
        await redis.DisposeAsync();
        await lost.Task.WaitAsync(s_limit);
        Assert.That(async () => await multiplexer.GetDatabase().SetAddAsync("set", 1).WaitAsync(TimeSpan.FromSeconds(4)),
            Throws.TypeOf<RedisConnectionException>());
    }

    [Test]
    public void Connecting_to_a_node_that_hangs_takes_one_deadline_and_not_three()
    {
        var deadline = TimeSpan.FromSeconds(1);
        using var hanging = new TcpListener(IPAddress.Loopback, 0);
        hanging.Start();
        int port = ((IPEndPoint)hanging.LocalEndpoint).Port;
        Assert.That(async () => await ConnectAsync(port, deadline).WaitAsync(deadline * 2.8), Throws.TypeOf<RedisConnectionException>());
    }

    private static Task<ConnectionMultiplexer> ConnectAsync(int port, TimeSpan deadline)
        => ConnectionMultiplexer.ConnectAsync(NodeConfiguration.Of(
            new FailoverOptions(), new NodeAddress("127.0.0.1", port), new IPEndPoint(IPAddress.Loopback, port), deadline));
}
