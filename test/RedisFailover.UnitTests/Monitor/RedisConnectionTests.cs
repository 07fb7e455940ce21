using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.Monitor.Redis;
using RedisFailover.Shared;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class RedisConnectionTests
{
    [Test]
    public async Task Cancelled_just_when_it_is_connected_it_is_cancelled_or_connected_and_nothing_else()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var node = new NodeAddress("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        for (int i = 0; i < 100; i++)
        {
            using var cancellation = new CancellationTokenSource();
            using var go = new Barrier(2);
            Task cancelling = Task.Run(() =>
            {
                go.SignalAndWait();
                cancellation.Cancel();
            });
            Task<(RedisConnection? Connection, Dialed Answer)> connecting = Task.Run(() =>
            {
                go.SignalAndWait();
                return ConnectAsync(node, cancellation.Token);
            });
            await cancelling;
            try
            {
                await (await connecting).Connection!.DisposeAsync();
            }
            catch (OperationCanceledException)
            {
                // As it may be.
            }
        }
    }

    [Test]
    public void Cancelled_before_it_begins_it_is_cancelled()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var node = new NodeAddress("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        Assert.That(
            async () => await ConnectAsync(node, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task A_refused_connection_and_an_unknown_host_are_answers()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        Assert.That((await ConnectAsync(new NodeAddress("127.0.0.1", port), default)).Answer.Fault, Is.EqualTo(DialFault.Refused));
        Assert.That((await ConnectAsync(new NodeAddress("no-such-host.invalid", port), default)).Answer.Fault, Is.EqualTo(DialFault.Local));
    }

    private static Task<(RedisConnection? Connection, Dialed Answer)> ConnectAsync(NodeAddress node, CancellationToken cancellationToken)
    {
        TimeProvider time = TimeProvider.System;
        return RedisConnection.ConnectAsync(
            node, new TcpDialer(new HostAddresses(time), time), time, TimeSpan.FromSeconds(30), cancellationToken);
    }
}
