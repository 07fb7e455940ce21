using System.Threading.Channels;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Redis;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class NodeProberTests
{
    private const string Master = "run_id:x\r\nrole:master\r\nrdb_last_bgsave_status:err\r\n";

    private readonly ManualTime _time = new();
    private readonly Channel<Observation> _observations = Channel.CreateUnbounded<Observation>();

    [Test]
    public async Task An_error_that_repeats_the_password_is_not_passed_on()
    {
        // What Redis says when AUTH was renamed.
        await using var node = new FakeNode(
            command => command[0] == "AUTH" ? $"-ERR unknown command 'AUTH', with args beginning with: '{command[1]}'\r\n" : "+OK\r\n");
        await using NodeProber prober = Probe(node, "s3cret");

        NodeFailed failed = await NextAsync<NodeFailed>();
        Assert.Multiple(() =>
        {
            Assert.That(failed.ProbeFailure, Is.EqualTo(ProbeFailure.AuthRefused));
            Assert.That(failed.Detail, Does.Not.Contain("s3cret"));
        });
    }

    [Test]
    public async Task That_a_node_takes_no_new_connection_is_seen_beside_the_one_that_goes_on()
    {
        await using var node = new FakeNode(command => command[0] == "INFO" ? FakeNode.Bulk("role:master\r\nrun_id:x\r\n") : "+OK\r\n");
        var policy = new FailoverPolicy { Nodes = [node.Address], ProbeTimeout = TimeSpan.FromMilliseconds(500) };
        await using var prober = new NodeProber(
            node.Address, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, TimeProvider.System), _observations.Writer,
            new MonotonicClock(TimeProvider.System), connectsAnewAfter: TimeSpan.FromMilliseconds(50));
        await NextAsync<NodeAnswered>();
        await Waiting.Until(() => node.Connections > 1);

        node.Refuse();
        NewConnectionTried tried = await NextAsync<NewConnectionTried>();
        Assert.That((tried.ProbeFailure, tried.Detail), Is.EqualTo((ProbeFailure.Refused, "connection refused")));
        await NextAsync<NodeAnswered>();
    }

    [Test]
    public async Task A_connection_that_falls_silent_while_the_port_refuses_is_a_process_that_is_gone()
    {
        bool isKilled = false;
        await using var node = new FakeNode(command => Volatile.Read(ref isKilled) ? ""
            : command[0] == "INFO" ? FakeNode.Bulk("role:master\r\nrun_id:x\r\n") : "+OK\r\n");
        var policy = new FailoverPolicy { Nodes = [node.Address], ProbeTimeout = TimeSpan.FromSeconds(2), MaxFailures = 100 };
        await using var prober = new NodeProber(
            node.Address, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, TimeProvider.System), _observations.Writer,
            new MonotonicClock(TimeProvider.System), connectsAnewAfter: Timeout.InfiniteTimeSpan);
        await NextAsync<NodeAnswered>();

        // A child of the process has the connection as well, and not the port.
        Volatile.Write(ref isKilled, true);
        node.Refuse();
        NodeFailed failed = await NextAsync<NodeFailed>();
        // Probes may be missed meanwhile. By silence alone it would be judged after a hundred.
        for (int missed = 0; missed < 10 && failed.ProbeFailure == ProbeFailure.Silent; missed++)
        {
            failed = await NextAsync<NodeFailed>();
        }

        Assert.That((failed.ProbeFailure, failed.Detail), Is.EqualTo((ProbeFailure.Refused, "connection refused")));
    }

    [Test]
    public async Task What_a_prober_before_this_one_told_of_new_connections_ends_with_its_own_first_connection()
    {
        await using var node = new FakeNode(command => command[0] == "INFO" ? FakeNode.Bulk("role:master\r\nrun_id:x\r\n") : "+OK\r\n");
        var policy = new FailoverPolicy { Nodes = [node.Address] };
        var info = new NodeInfo { Role = NodeRole.Master, RunId = "x" };
        ClusterView view = new ClusterView()
            .Apply(new NodeAnswered(TimeSpan.Zero, TimeSpan.Zero, node.Address, info, TimeSpan.Zero), policy)
            .Apply(new NewConnectionTried(TimeSpan.Zero, node.Address, ProbeFailure.Silent, ""), policy);
        Assert.That(view.Node(node.Address).TakesNoConnections, Is.True);

        await using var prober = new NodeProber(
            node.Address, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, TimeProvider.System), _observations.Writer,
            new MonotonicClock(TimeProvider.System), connectsAnewAfter: Timeout.InfiniteTimeSpan);
        Observation? seen = null;
        while (seen is not NodeAnswered)
        {
            seen = await _observations.Reader.ReadAsync().WithinDeadline();
            view = view.Apply(seen, policy);
        }

        Assert.That(view.Node(node.Address).TakesNoConnections, Is.False);
    }

    [Test]
    public async Task A_node_that_takes_no_more_connections_lives()
    {
        using var node = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        node.Start();
        var address = new NodeAddress("127.0.0.1", ((System.Net.IPEndPoint)node.LocalEndpoint).Port);
        var policy = new FailoverPolicy { Nodes = [address] };
        await using var prober = new NodeProber(
            address, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, _time), _observations.Writer,
                new MonotonicClock(_time));

        // It says so once; then it closes before it can be heard.
        foreach (string said in (string[])["-ERR max number of clients reached\r\n", "", ""])
        {
            using (System.Net.Sockets.TcpClient client = await node.AcceptTcpClientAsync().WithinDeadline())
            {
                string asked = "";
                byte[] unread = new byte[4096];
                while (!asked.Contains("*1\r\n$4\r\nINFO\r\n", StringComparison.Ordinal))
                {
                    int read = await client.GetStream().ReadAsync(unread).WithinDeadline();
                    Assert.That(read, Is.Positive);
                    asked += System.Text.Encoding.ASCII.GetString(unread, 0, read);
                }

                await client.GetStream().WriteAsync(System.Text.Encoding.ASCII.GetBytes(said));
            }

            NodeFailed failed = await NextAsync<NodeFailed>();
            Assert.That((failed.ProbeFailure, failed.Detail),
                Is.EqualTo((ProbeFailure.AuthRefused, "it takes no more connections (maxclients), so that the monitors cannot watch it")));
            // Time moves only once the next attempt waits for it: how long a connection takes on this machine must not count.
            var retry = TimeSpan.FromSeconds(1);
            await Waiting.Until(() => _time.LastTimer == retry, () => $"the last timer is {_time.LastTimer} away");
            _time.Advance(retry);
        }
    }

    [TestCase("-DENIED Redis is running in protected mode because of this. In this mode more.\r\n", nameof(ProbeFailure.AuthRefused),
        "it refuses the connection: DENIED Redis is running in protected mode because of this")]
    [TestCase("-ERR server is going away\r\n", nameof(ProbeFailure.AuthRefused), "it refuses the connection: ERR server is going away")]
    [TestCase("HTTP/1.1 400 Bad Request\r\n", nameof(ProbeFailure.NotRedis),
        "it does not answer as Redis does: it says 'HTTP/1.1 400 Bad Request'")]
    [TestCase("\u0015\u0003\u0003\r\n", nameof(ProbeFailure.NotRedis),
        "it does not answer as Redis does: a reply that begins with the byte 21")]
    public async Task What_a_node_says_before_it_is_asked_is_shown(string first, string evidence, string detail)
    {
        using var node = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        node.Start();
        var address = new NodeAddress("127.0.0.1", ((System.Net.IPEndPoint)node.LocalEndpoint).Port);
        Task<System.Net.Sockets.Socket> accepted = node.AcceptSocketAsync();
        using var listening = new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        await listening.ConnectAsync(address.Host, address.Port);
        using System.Net.Sockets.Socket peer = await accepted.WithinDeadline();
        await using var connection = RedisConnection.Over(listening, _time);
        await peer.SendAsync(System.Text.Encoding.UTF8.GetBytes(first));

        Assert.That(ProbeEnd.Of(await connection.Closed.WithinDeadline()), Is.EqualTo((Enum.Parse<ProbeFailure>(evidence), detail)));
    }

    [Test]
    public async Task A_node_that_says_that_it_is_loading_when_it_is_inspected_has_not_answered()
    {
        await using var node = new FakeNode(
            command => command[0] == "INFO" ? FakeNode.Bulk("run_id:x\r\nrole:master\r\nloading:1\r\n") : "+OK\r\n");
        await using NodeProber prober = Probe(node, null);

        // The prober's own question, which also tells that there is a connection.
        Assert.That((await NextAsync<Observation>()) is NodeFailed { ProbeFailure: ProbeFailure.Loading });
        await prober.InspectAsync(default).WithinDeadline();
        Assert.That((await NextAsync<Observation>()) is NodeFailed { ProbeFailure: ProbeFailure.Loading });
    }

    [Test]
    public async Task A_node_whose_INFO_is_renamed_lives_and_refuses_us()
    {
        await using var node = new FakeNode(command => command[0] == "INFO" ? "-ERR unknown command 'INFO'\r\n" : "+OK\r\n");
        await using NodeProber prober = Probe(node, null);

        NodeFailed failed = await NextAsync<NodeFailed>();
        Assert.That((failed.ProbeFailure, failed.Detail),
            Is.EqualTo((ProbeFailure.AuthRefused, "it refuses INFO (ERR unknown command 'INFO')")));
    }

    [Test]
    public async Task A_question_that_is_refused_has_failed()
    {
        int asked = 0;
        await using var node = new FakeNode(command => string.Join(' ', command) switch
        {
            "INFO" => Interlocked.Increment(ref asked) == 1 ? FakeNode.Bulk(Master) : "-NOPERM this user has no permissions\r\n",
            _ => "+PONG\r\n",
        });
        await using NodeProber prober = Probe(node, null);
        await NextAsync<NodeAnswered>();

        Assert.That(async () => await prober.InspectAsync(default).WithinDeadline(), Throws.InstanceOf<IOException>());
    }

    [Test]
    public async Task Watching_writes_nothing_and_a_renamed_PING_is_an_answer()
    {
        var said = new System.Collections.Concurrent.ConcurrentBag<string>();
        await using var node = new FakeNode(command =>
        {
            said.Add(string.Join(' ', command));
            return command[0] switch
            {
                "INFO" => FakeNode.Bulk(Master),
                "CONFIG" => "*0\r\n",
                _ => "-ERR unknown command 'PING'\r\n",
            };
        });
        await using NodeProber prober = Probe(node, null);

        // INFO first, then heartbeats in between.
        await NextAsync<NodeAnswered>();
        List<Observation> seen = [];
        for (int beat = 0; beat < 4; beat++)
        {
            _time.Advance(new FailoverPolicy { Nodes = [] }.ProbeTimeout / 2);
            seen.Add(await NextAsync<Observation>());
        }

        Assert.That(seen, Has.Some.InstanceOf<NodeBeat>().And.None.InstanceOf<NodeFailed>());
        // Rights are asked for in forms that do nothing.
        string[] harmless =
            [.. NodeRight.All.Where(r => !r.Harmless.IsEmpty).Select(r => string.Join(' ', r.Harmless)), "SLAVEOF 127.0.0.1 none"];
        string[] reads = ["INFO", "INFO clients", "PING", "DISCARD", "CLIENT LIST"];
        Assert.That(said, Is.All.Matches<string>(c => c is not null && (reads.Contains(c) || harmless.Contains(c)
            || c.StartsWith("CONFIG GET ", StringComparison.Ordinal) || c.StartsWith("CLIENT SETNAME ", StringComparison.Ordinal))));
    }

    [TestCase(Description = "as where the reply is over its client-output-buffer-limit, which the monitors may not read")]
    public async Task A_node_that_ends_the_connection_when_it_is_asked_for_its_clients_is_acted_on_all_the_same()
    {
        int asked = 0;
        await using var node = new FakeNode(command => string.Join(' ', command) switch
        {
            "INFO" => FakeNode.Bulk(Master),
            "INFO clients" => FakeNode.Bulk("connected_clients:400\r\n"),
            "CLIENT LIST" => Interlocked.Increment(ref asked) > 0 ? null : "",
            _ => "-NOPERM this user has no permissions\r\n",
        });
        await using NodeProber prober = ProbeNow(node);

        await FenceAsync(prober).WithinDeadline();
        // One end may be an accident. The fence asks, and beside it who looks for other controllers.
        Assert.That(Volatile.Read(ref asked), Is.InRange(2, 4));
        NodeAnswered answered;
        do
        {
            answered = await NextAsync<NodeAnswered>();
        }
        while (!answered.Info.WithholdsClients);
    }

    [TestCase("normal 100000 0 0 slave 268435456 67108864 60", true)]
    [TestCase("slave 268435456 67108864 60 normal 0 0 0", false)]
    public async Task A_list_of_clients_that_is_longer_than_the_node_lets_a_reply_be_is_not_asked_for(string limit, bool tooLong)
    {
        int asked = 0;
        await using var node = new FakeNode(command => string.Join(' ', command) switch
        {
            "INFO" => FakeNode.Bulk($"{Master}connected_clients:400\r\n"),
            "INFO clients" => FakeNode.Bulk("connected_clients:400\r\n"),
            "CLIENT LIST" => Interlocked.Increment(ref asked) > 0 ? FakeNode.Bulk("") : "",
            "CONFIG GET client-output-buffer-limit" => $"*2\r\n{FakeNode.Bulk(command[2])}{FakeNode.Bulk(limit)}",
            _ => "+OK\r\n",
        });
        await using NodeProber prober = ProbeNow(node);

        await FenceAsync(prober).WithinDeadline();
        Assert.That(Volatile.Read(ref asked), tooLong ? Is.Zero : Is.Positive);
        NodeInfo info = (await NextAsync<NodeAnswered>()).Info;
        Assert.That(NodeInfo.IsListTooLong(info.ConnectedClients, info.ReplyLimit), Is.EqualTo(tooLong));
    }

    [TestCase("yes", "3600 1", ExpectedResult = true)]
    [TestCase("no", "3600 1", ExpectedResult = false)]
    [TestCase("yes", "", ExpectedResult = false, Description = "no save points: Redis goes on taking writes")]
    public async Task<bool> A_failed_save_counts_where_Redis_refuses_writes_for_it(string stops, string savePoints)
    {
        await using var node = new FakeNode(command => command switch
        {
            ["INFO"] => FakeNode.Bulk(Master),
            ["CONFIG", "GET", "stop-writes-on-bgsave-error"] => $"*2\r\n{FakeNode.Bulk(command[2])}{FakeNode.Bulk(stops)}",
            ["CONFIG", "GET", "save"] => $"*2\r\n{FakeNode.Bulk(command[2])}{FakeNode.Bulk(savePoints)}",
            ["CONFIG", ..] => "*0\r\n",
            _ => "+PONG\r\n",
        });
        await using NodeProber prober = Probe(node, null);
        await NextAsync<NodeAnswered>();

        // The settings were asked for on the same connection before this question.
        await prober.InspectAsync(default).WithinDeadline();
        await NextAsync<NodeAnswered>();
        await prober.InspectAsync(default).WithinDeadline();
        return (await NextAsync<NodeAnswered>()).Info.RefusesWrites;
    }

    [Test]
    public async Task A_node_that_closes_every_connection_is_tried_ever_more_slowly()
    {
        await using var node = new FakeNode(_ => null) { ClosesAtOnce = true };
        await using NodeProber prober = Probe(node, null);

        // The first attempts follow at once, so that the node is judged at once.
        for (int i = 0; i < new FailoverPolicy { Nodes = [] }.MaxFailures; i++)
        {
            await NextAsync<NodeFailed>();
        }

        Assert.That(_time.GetTimestamp(), Is.Zero);
        await _time.AdvanceUntil(TimeSpan.FromMilliseconds(1), () => node.Connections >= 10);
        Assert.That(TimeSpan.FromTicks(_time.GetTimestamp()), Is.GreaterThan(TimeSpan.FromMilliseconds(1 + 2 + 4 + 8 + 16)));
    }

    [Test]
    public async Task A_node_whose_name_stands_for_another_address_is_looked_for_there()
    {
        await using var node = new FakeNode(command => command[0] == "INFO" ? FakeNode.Bulk("role:master\r\nrun_id:x\r\n") : "+OK\r\n");
        var named = new NodeAddress("redis1", node.Address.Port);
        var policy = new FailoverPolicy { Nodes = [named] };
        System.Net.IPAddress address = System.Net.IPAddress.Loopback;
        var names = new NodeNames(policy.Nodes, _time, (_, _) => Task.FromResult(new[] { address }));
        await using var prober = new NodeProber(
            named, new RedisCredentials(null, null), policy, names, _observations.Writer, new MonotonicClock(_time),
            connectsAnewAfter: Timeout.InfiniteTimeSpan);
        await NextAsync<NodeAnswered>();

        // Nothing listens there: the name may be wrong, and the connection works.
        address = System.Net.IPAddress.Parse("127.0.0.2");
        for (int beat = 0; beat < 120; beat++)
        {
            await BeatAsync();
        }

        Assert.That(node.Connections, Is.EqualTo(1));
        using var there = new System.Net.Sockets.TcpListener(address, named.Port);
        there.Start();
        Observation seen;
        do
        {
            seen = await BeatAsync();
        }
        while (seen is not NodeFailed);
        Assert.That(((NodeFailed)seen).Detail, Is.EqualTo("its host name stands for another address now"));

        // The clock waits for each answer: a slow machine makes no silent node.
        async Task<Observation> BeatAsync()
        {
            await Waiting.Until(() => _time.PendingTimers > 0);
            _time.Advance(policy.ProbeTimeout / 2);
            return await NextAsync<Observation>();
        }
    }

    private NodeProber Probe(FakeNode node, string? password)
    {
        var policy = new FailoverPolicy { Nodes = [node.Address] };
        var clock = new MonotonicClock(_time);
        return new NodeProber(
            node.Address, new RedisCredentials(null, password), policy, new NodeNames(policy.Nodes, _time), _observations.Writer, clock);
    }

    private NodeProber ProbeNow(FakeNode node)
    {
        var policy = new FailoverPolicy { Nodes = [node.Address], ProbeTimeout = TimeSpan.FromSeconds(10) };
        return new NodeProber(
            node.Address, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, TimeProvider.System), _observations.Writer,
            new MonotonicClock(TimeProvider.System), connectsAnewAfter: Timeout.InfiniteTimeSpan);
    }

    /// <summary>Until the node may be commanded: what may keep a former leader from it was done.</summary>
    private static async Task FenceAsync(NodeProber prober)
    {
        while (true)
        {
            try
            {
                await (prober.EndFormerLeaders(1, default) ?? Task.CompletedTask);
                return;
            }
            catch (IOException)
            {
                await Task.Delay(1);
            }
        }
    }

    private async Task<T> NextAsync<T>()
        where T : Observation
    {
        while (true)
        {
            // That new connections are taken is told beside all else.
            if (await _observations.Reader.ReadAsync().WithinDeadline() is T wanted
                && wanted is not NewConnectionTried { ProbeFailure: null })
            {
                return wanted;
            }
        }
    }
}
