using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>The shared server, started before the first test of this folder; each works below a root of its own.</summary>
[SetUpFixture]
public sealed class RealServer
{
    internal const string LongSessions = SharedZooKeeper.LongSessions;

    /// <summary>The timeout of a session that has to outlive what is done to it: on a slow machine that takes a while.</summary>
    internal static readonly TimeSpan LongTimeout = TimeSpan.FromSeconds(60);

    /// <summary>How long a test waits for what has to come.</summary>
    internal static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    internal static ZooKeeperServer Server { get; private set; } = null!;

    [OneTimeSetUp]
    public async Task StartAsync() => Server = (await SharedZooKeeper.GetAsync()).Servers[0];

    /// <summary>A chroot that nobody else uses.</summary>
    internal static string FreshRoot() => "/t" + Guid.NewGuid().ToString("n")[..10];

    internal static ZooKeeperOptions Options(string connection, TimeSpan? timeout = null) => new()
    {
        Connection = ZooKeeperConnectionString.Parse(connection),
        SessionTimeout = timeout ?? TimeSpan.FromSeconds(4),
        LoggerFactory = TestLog.Instance,
    };

    /// <summary>A session on the server, directly or through what the connection string names, below a new root.</summary>
    internal static async Task<ZooKeeperSession> ConnectAsync(string? connection = null, string? root = null, TimeSpan? timeout = null)
    {
        using var deadline = new CancellationTokenSource(Deadline);
        ZooKeeperSession session = await ZooKeeperSession.ConnectAsync(
            Options((connection ?? Server.ConnectionString) + (root ?? FreshRoot()), timeout), deadline.Token);
        await session.EnsurePathAsync("/", deadline.Token);
        return session;
    }

    /// <summary>Ends a session behind its owner's back: another connection with its id and password closes it.</summary>
    internal static async Task ExpireAsync(ZooKeeperSession session)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync("127.0.0.1", Server.Port);
        await using var stream = new NetworkStream(socket);
        await SendAsync(w =>
        {
            w.Int32(0);
            w.Int64(0);
            w.Int32((int)session.SessionTimeout.TotalMilliseconds);
            w.Int64(session.SessionId);
            w.Buffer(session.Password.Span);
            w.Bool(false);
        });
        await stream.ReadExactlyAsync(new byte[4 + 37]);
        await SendAsync(w =>
        {
            w.Int32(1);
            w.Int32((int)OpCode.CloseSession);
        });
        while (await stream.ReadAsync(new byte[100]) > 0)
        {
            // Until the server closes.
        }

        async Task SendAsync(Action<JuteWriter> body)
        {
            var writer = new JuteWriter();
            int start = writer.BeginFrame();
            body(writer);
            writer.EndFrame(start);
            await stream.WriteAsync(writer.Written);
        }
    }

    internal static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    internal static string Text(Znode znode) => Encoding.UTF8.GetString(znode.Data.Span);

    internal static async Task<ZooKeeperException> FailsAsync(Task task)
    {
        try
        {
            await task.WaitAsync(Deadline);
        }
        catch (ZooKeeperException e)
        {
            return e;
        }

        throw new AssertionException("A ZooKeeperException was expected.");
    }
}

/// <summary>Shows the client's log with the output of the test that runs.</summary>
internal sealed class TestLog : ILoggerFactory, ILogger
{
    internal static TestLog Instance { get; } = new();

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
        => TestContext.Out.WriteLine($"{TimeProvider.System.GetUtcNow():HH:mm:ss.fff} [{logLevel}] {formatter(state, exception)}");

    public void Dispose()
    {
    }
}
