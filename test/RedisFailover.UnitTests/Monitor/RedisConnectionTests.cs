using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class RedisConnectionTests
{
    [Test]
    public async Task Cancelled_just_when_it_is_connected_it_is_either_connected_or_cancelled()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var node = new NodeAddress("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        for (int i = 0; i < 1000; i++)
        {
            using var cancellation = new CancellationTokenSource();
            Task cancelling = Task.Run(cancellation.Cancel);
            try
            {
                (RedisConnection? connection, SocketError error) = await RedisConnection.ConnectAsync(node, TimeProvider.System, cancellation.Token);
                Assert.That((connection is not null, error), Is.EqualTo((true, SocketError.Success)));
                await connection!.DisposeAsync();
            }
            catch (OperationCanceledException)
            {
                // As asked.
            }

            await cancelling;
            while (listener.Pending())
            {
                (await listener.AcceptSocketAsync()).Dispose();
            }
        }
    }

    [Test]
    public async Task A_refused_connection_and_an_unknown_host_are_answers()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        Assert.That((await RedisConnection.ConnectAsync(new NodeAddress("127.0.0.1", port), TimeProvider.System, CancellationToken.None)).Error, Is.EqualTo(SocketError.ConnectionRefused));
        Assert.That((await RedisConnection.ConnectAsync(new NodeAddress("no-such-host.invalid", port), TimeProvider.System, CancellationToken.None)).Error, Is.EqualTo(SocketError.HostNotFound));
    }
}
