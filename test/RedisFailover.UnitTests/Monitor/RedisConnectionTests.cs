using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class RedisConnectionTests
{
    [Test]
    public async Task Cancelled_just_when_it_is_connected_it_is_cancelled_and_nothing_else()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var node = new NodeAddress("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        using var cancellation = new CancellationTokenSource();
        using var turns = new Turns();
        Task<(RedisConnection? Connection, SocketError Error)> connecting = Connect();
        // To one's own machine it may be connected at once, and there is no moment between the two.
        while (connecting.IsCompletedSuccessfully)
        {
            await (await connecting).Connection!.DisposeAsync();
            connecting = Connect();
        }

        // The socket is connected, what follows is held up here: the cancellation comes between the two.
        Action next = turns.Next();
        await cancellation.CancelAsync();
        next();
        while (!connecting.IsCompleted)
        {
            turns.Next()();
        }

        Assert.That(connecting.Exception, Is.Null);
        Assert.That(connecting.IsCanceled);

        Task<(RedisConnection? Connection, SocketError Error)> Connect()
        {
            SynchronizationContext? before = SynchronizationContext.Current;
            SynchronizationContext.SetSynchronizationContext(turns);
            try
            {
                return RedisConnection.ConnectAsync(node, TimeProvider.System, cancellation.Token);
            }
            finally
            {
                SynchronizationContext.SetSynchronizationContext(before);
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
            async () => await RedisConnection.ConnectAsync(node, TimeProvider.System, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
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

    /// <summary>Holds what an await continues with until the test lets it.</summary>
    private sealed class Turns : SynchronizationContext, IDisposable
    {
        // Not disposed: what goes on after the test, the reading that ends, still comes here.
#pragma warning disable CA2213
        private readonly BlockingCollection<Action> _posted = [];
#pragma warning restore CA2213
        private volatile bool _isOver;

        public override void Post(SendOrPostCallback d, object? state)
        {
            if (_isOver)
            {
                ThreadPool.QueueUserWorkItem(_ => d(state));
                return;
            }

            _posted.Add(() => d(state));
        }

        public void Dispose()
        {
            _isOver = true;
            while (_posted.TryTake(out Action? left))
            {
                ThreadPool.QueueUserWorkItem(static go => ((Action)go!)(), left);
            }
        }

        internal Action Next() => _posted.TryTake(out Action? next, TimeSpan.FromSeconds(30)) ? next : throw new TimeoutException("nothing went on within 30 s");
    }
}
