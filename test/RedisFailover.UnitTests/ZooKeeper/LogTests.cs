using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>The user's logger is the user's code: whatever it does, the session goes on.</summary>
[TestFixture]
public sealed class LogTests
{
    [Test]
    public async Task A_logger_that_blocks_holds_up_nothing_and_has_every_line_in_order_when_it_is_back()
    {
        await using var server = new FakeServer();
        using var release = new ManualResetEventSlim();
        var log = new UsersLog(_ => release.Wait());
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options() with { LoggerFactory = log });
        await using ZooKeeperSession owned = session;
        for (int i = 0; i < 2; i++)
        {
            ValueTask<Znode> get = session.GetDataAsync("/a");
            await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
            await get.WithinDeadline();
            connection.Close();
            connection = await server.AcceptSessionAsync(session.SessionId);
        }

        Task adding = session.AddAuthAsync(new ZooKeeperAuth("nonsense", "x"u8));
        await connection.ReadAsync(OpCode.Auth);
        await connection.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.AuthFailed);
        await Waiting.ThrowsZooKeeper(adding);
        await Waiting.Until(() => session.Ended.IsCancellationRequested);
        Assert.That(log.Lines, Is.Empty);

        release.Set();
        string[] expected =
            ["established", "lost its connection", "reconnected", "lost its connection", "reconnected", "refused the credentials"];
        await Waiting.Until(() => log.Lines.Count == expected.Length, () => string.Join('\n', log.Lines));
        Assert.That(log.Lines.Zip(expected, (line, part) => line.Contains(part, StringComparison.Ordinal)), Has.All.True,
            string.Join('\n', log.Lines));
    }

    [Test]
    public async Task A_logger_that_throws_ends_nothing()
    {
        await using var server = new FakeServer();
        var log = new UsersLog(_ => throw new InvalidOperationException("a logger's fault"));
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options() with { LoggerFactory = log });
        await using ZooKeeperSession owned = session;
        connection.Close();
        connection = await server.AcceptSessionAsync(session.SessionId);

        // Logged from where callbacks run.
        ValueTask<Znode> get = session.GetDataAsync("/a", _ => throw new InvalidOperationException("a callback's fault"));
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
        await connection.SendEventAsync(WatchedEventType.DataChanged, "/a");
        await Waiting.Until(() => log.Calls == 4, () => $"{log.Calls} lines were logged");
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Connected));
    }

    [Test]
    public async Task Disposing_waits_until_the_last_line_is_written_but_not_for_ever()
    {
        foreach (bool returns in (bool[])[true, false])
        {
            await using var server = new FakeServer();
            var time = new ManualTime();
            using var release = new ManualResetEventSlim();
            using var entered = new ManualResetEventSlim();
            var log = new UsersLog(line =>
            {
                if (line.Contains(" closed", StringComparison.Ordinal))
                {
                    entered.Set();
                    release.Wait();
                }
            });
            (ZooKeeperSession session, FakeConnection _) = await server.EstablishAsync(server.Options(time) with { LoggerFactory = log });
            Task disposing = session.DisposeAsync().AsTask();
            await Waiting.Until(() => entered.IsSet && (disposing.IsCompleted || time.PendingTimers > 0));
            Assert.That(disposing.IsCompleted, Is.False);
            if (returns)
            {
                release.Set();
                await disposing.WithinDeadline();
                Assert.That(log.Lines, Has.Some.Contains(" closed"));
            }
            else
            {
                time.Advance(session.SessionTimeout / 3);
                await disposing.WithinDeadline();
                release.Set();
            }
        }
    }

    [Test]
    public async Task What_a_logger_that_blocks_for_too_long_has_missed_is_counted()
    {
        using var release = new ManualResetEventSlim();
        using var entered = new ManualResetEventSlim();
        var log = new UsersLog(_ =>
        {
            entered.Set();
            release.Wait();
        });
        LogQueue queue = LogQueue.For(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse("zk"), LoggerFactory = log });
        await Task.Run(() => RedisFailover.ZooKeeper.Log.ElectionFailed(queue, "first")).WithinDeadline();
        await Waiting.Until(() => entered.IsSet);
        for (int i = 0; i < LogQueue.MaxWaiting + 3; i++)
        {
            RedisFailover.ZooKeeper.Log.ElectionFailed(queue, "more");
        }

        release.Set();
        await queue.WrittenAsync(Timeout.InfiniteTimeSpan, TimeProvider.System).WithinDeadline();
        Assert.That(log.Lines, Has.Count.EqualTo(LogQueue.MaxWaiting + 2));
        Assert.That(log.Lines, Has.One.StartsWith("3 lines of the ZooKeeper client are missing here"));
    }

    private sealed class UsersLog(Action<string> behave) : ILoggerFactory, ILogger
    {
        private int _calls;

        internal ConcurrentQueue<string> Lines { get; } = new();

        internal int Calls => Volatile.Read(ref _calls);

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            Interlocked.Increment(ref _calls);
            string line = formatter(state, exception);
            behave(line);
            Lines.Enqueue(line);
        }

        public void Dispose()
        {
        }
    }
}
