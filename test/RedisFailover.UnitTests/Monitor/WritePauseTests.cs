using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Redis;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>The pause of a Redis before 6.2, against a server that behaves so.</summary>
[TestFixture]
public sealed class WritePauseTests
{
    [Test]
    public async Task The_offset_is_read_in_the_pause_itself_and_what_was_held_is_refused_and_not_acknowledged()
    {
        using var redis = new OldRedis();
        var clock = new MonotonicClock(TimeProvider.System);
        await using NodeProber prober = await StartAsync(redis, clock);
        using Socket client = await ConnectAsync(redis);
        Assert.That(await SetAsync(client), Is.EqualTo("+OK"));

        await (prober.EndFormerLeaders(1, default) ?? Task.CompletedTask).WithinDeadline();
        ActionFinished paused = await WritePause.PauseAllAsync(
            new PauseWrites(redis.Address, TimeSpan.FromMilliseconds(250), HoldsAll: true), prober, clock, CancellationToken.None)
                .WithinDeadline();
        Assert.That(paused.Failure, Is.Null);
        Assert.That((redis.IsPaused, redis.MinReplicas), Is.EqualTo((true, MinReplicas.Refusing)));
        Assert.That(paused.Info!.Offset, Is.EqualTo(redis.Offset));
        Assert.That(paused.Asked, Is.EqualTo(paused.At), "nothing moves after the answer");

        // A write that the pause holds comes before our next command when the pause is over.
        Task<string> held = SetAsync(client);
        redis.EndPause();
        Assert.That(await held.WithinDeadline(), Does.StartWith("-NOREPLICAS"));
        Assert.That(redis.Offset, Is.EqualTo(paused.Info.Offset));

        // Undone: the operator's own setting is back, and writes go on.
        (RespValue[] replies, _, _) =
            await prober.CommandAsync(WritePause.Resume(new ResumeWrites(redis.Address, 1)), CancellationToken.None).WithinDeadline();
        Assert.That(replies[0].IsError, "such a Redis knows no UNPAUSE");
        Assert.That(await SetAsync(client).WithinDeadline(), Is.EqualTo("+OK"));
        Assert.That(redis.MinReplicas, Is.EqualTo(1));
    }

    [Test]
    public async Task Its_own_min_replicas_are_known_so_that_they_can_be_put_back()
    {
        using var redis = new OldRedis();
        var clock = new MonotonicClock(TimeProvider.System);
        var observations = Channel.CreateUnbounded<Observation>();
        await using NodeProber prober = await StartAsync(redis, clock, observations);
        NodeInfo info;
        do
        {
            info = await observations.Reader.ReadAsync().WithinDeadline() is NodeAnswered answered
                ? answered.Info : new NodeInfo { Role = NodeRole.Master, RunId = "" };
        }
        while (info.MinReplicas is null);
        Assert.That(info.MinReplicas, Is.EqualTo(new MinReplicas(1, 10)));
        Assert.That(info.PausesWritesAlone, Is.False);
    }

    [Test]
    public async Task What_the_operator_had_set_is_known_to_whoever_watched_before_it_was_raised()
    {
        using var redis = new OldRedis();
        var clock = new MonotonicClock(TimeProvider.System);
        var observations = Channel.CreateUnbounded<Observation>();
        await using NodeProber prober = await StartAsync(redis, clock, observations);
        await prober.CommandAsync([], default).WithinDeadline();

        await (prober.EndFormerLeaders(1, default) ?? Task.CompletedTask).WithinDeadline();
        await prober.CommandAsync([["CONFIG", "SET", "min-slaves-to-write", "1000000"]], default).WithinDeadline();
        NodeInfo? info = null;
        while (info?.MinReplicas is not { Count: MinReplicas.Refusing })
        {
            info = await observations.Reader.ReadAsync().WithinDeadline() is NodeAnswered answer ? answer.Info : info;
        }

        Assert.That(info.MinReplicasBefore, Is.EqualTo(1));
    }

    [Test]
    public async Task What_a_leader_that_saw_only_the_raised_setting_has_put_back_is_known_at_once()
    {
        using var redis = new OldRedis();
        var clock = new MonotonicClock(TimeProvider.System);
        var observations = Channel.CreateUnbounded<Observation>();
        await using NodeProber prober = await StartAsync(redis, clock, observations);
        prober.Learned(new MinReplicas(MinReplicas.Refusing, 10));
        NodeCommands commands = new(_ => prober, clock);

        ActionFinished resumed = await commands.RunAsync(new ResumeWrites(redis.Address, 2), 1, () => true, default).WithinDeadline();

        Assert.That((resumed.Failure, resumed.Info?.MinReplicas, resumed.Info?.MinReplicasBefore),
            Is.EqualTo(((string?)null, new MinReplicas(2, 10), (int?)null)));
        Assert.That(redis.MinReplicas, Is.EqualTo(2));
    }

    [TestCase("5.0.14", false)]
    [TestCase("6.0.16", false)]
    [TestCase("6.2.0", true)]
    [TestCase("7.0.15", true)]
    [TestCase("", true)]
    public void Writes_alone_can_be_paused_since_6_2(string version, bool expected)
        => Assert.That(new NodeInfo { Role = NodeRole.Master, RunId = "x", Version = version }.PausesWritesAlone, Is.EqualTo(expected));

    private static async Task<NodeProber> StartAsync(OldRedis redis, MonotonicClock clock, Channel<Observation>? observations = null)
    {
        observations ??= Channel.CreateUnbounded<Observation>();
        var policy = new FailoverPolicy { Nodes = [redis.Address], ProbeTimeout = TimeSpan.FromSeconds(10) };
        var prober = new NodeProber(
            redis.Address, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, clock.Provider), observations.Writer,
                clock);
        await observations.Reader.WaitToReadAsync().WithinDeadline();
        return prober;
    }

    private static async Task<Socket> ConnectAsync(OldRedis redis)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(redis.Address.Host, redis.Address.Port);
        return socket;
    }

    private static async Task<string> SetAsync(Socket socket)
    {
        await socket.SendAsync("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"u8.ToArray());
        byte[] buffer = new byte[256];
        int received = await socket.ReceiveAsync(buffer);
        return Encoding.ASCII.GetString(buffer, 0, received).TrimEnd();
    }
}
