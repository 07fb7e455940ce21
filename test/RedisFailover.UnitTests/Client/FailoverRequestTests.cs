using System.Text;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.UnitTests.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Client;

/// <summary>A request for a failover, with a server that does what the script says.</summary>
[TestFixture]
public sealed class FailoverRequestTests
{
    private const string RequestPath = "/requests/request-0000000001";

    private static readonly Topology s_before = new() { Epoch = 3, Master = new NodeAddress("a", 1), State = TopologyState.SwitchingOver };
    private static readonly Topology s_after = new() { Epoch = 3, Master = new NodeAddress("b", 1), State = TopologyState.Ok };

    [Test]
    public async Task Disposal_ends_the_waiting_and_takes_the_request_back()
    {
        await using var server = new FakeServer();
        var source = new ZooKeeperTopologySource(server.Options().Connection, new FailoverOptions());
        FakeConnection connection = await server.AcceptSessionAsync();
        await ServeNodesAsync(connection, s_before, 1);
        Task asking = source.AskFailoverAsync(null, CancellationToken.None);
        await ServeRequestAsync(connection);
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "{}");
        Task disposing = source.DisposeAsync().AsTask();
        FakeRequest delete = await connection.ReadAsync(OpCode.Delete);
        Assert.That(delete.Path, Is.EqualTo(RequestPath));
        await connection.ReplyAsync(delete);
        Assert.That(async () => await asking.WithinDeadline(), Throws.TypeOf<ObjectDisposedException>());
        await disposing.WithinDeadline();
    }

    [Test]
    public async Task It_is_done_when_the_topology_that_came_with_the_answer_has_been_taken_over()
    {
        await using var server = new FakeServer();
        var source = new ZooKeeperTopologySource(server.Options().Connection, new FailoverOptions());
        await using ZooKeeperTopologySource owned = source;
        FakeConnection connection = await server.AcceptSessionAsync();
        await ServeNodesAsync(connection, s_before, 1);
        IAsyncEnumerator<Topology> topologies = source.TopologiesAsync(CancellationToken.None).GetAsyncEnumerator();
        Assert.That(await topologies.MoveNextAsync().WithinDeadline(), Is.True);

        Task asking = source.AskFailoverAsync(null, CancellationToken.None);
        await ServeRequestAsync(connection);
        byte[] answered = new OperatorRequest("") { Answer = new RequestAnswer(RequestOutcome.Done, "", s_after.Master, 3) }.Write();
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), Encoding.UTF8.GetString(answered));
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Sync), w => w.String("/nodes"));
        string after = Encoding.UTF8.GetString(TopologyJson.Write(s_after));
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), after, modifiedZxid: 2);

        await connection.SendEventAsync(WatchedEventType.DataChanged, "/nodes");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), after, modifiedZxid: 2);
        Assert.That(await topologies.MoveNextAsync().WithinDeadline(), Is.True);
        Assert.That(topologies.Current.Master, Is.EqualTo(s_after.Master));
        Assert.That(async () => await asking.WaitAsync(TimeSpan.FromMilliseconds(100)), Throws.TypeOf<TimeoutException>());

        // Asking for the next one says that this one is in force.
        ValueTask<bool> next = topologies.MoveNextAsync();
        await asking.WithinDeadline();
        Assert.That(next.IsCompleted, Is.False);
    }

    [Test]
    public async Task It_is_done_although_the_session_is_lost_after_the_answer()
    {
        await using var server = new FakeServer();
        var source = new ZooKeeperTopologySource(server.Options().Connection, new FailoverOptions());
        await using ZooKeeperTopologySource owned = source;
        FakeConnection connection = await server.AcceptSessionAsync();
        await ServeNodesAsync(connection, s_before, 1);
        Task asking = source.AskFailoverAsync(null, CancellationToken.None);
        await ServeRequestAsync(connection);
        byte[] answered = new OperatorRequest("") { Answer = new RequestAnswer(RequestOutcome.Done, "", s_after.Master, 3) }.Write();
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), Encoding.UTF8.GetString(answered));
        await connection.ReadAsync();
        connection.Close();

        // The session has expired; whoever asks in the next one is told the topology.
        (FakeConnection expired, _) = await server.AcceptHelloAsync();
        await expired.GrantAsync(0, 0);
        connection = await server.AcceptSessionAsync(0x11);
        _ = AnswerAsync(connection);
        IAsyncEnumerator<Topology> topologies = source.TopologiesAsync(CancellationToken.None).GetAsyncEnumerator();
        while (await topologies.MoveNextAsync().WithinDeadline() && topologies.Current.Master != s_after.Master)
        {
        }

        _ = topologies.MoveNextAsync().AsTask();
        await asking.WithinDeadline();

        static async Task AnswerAsync(FakeConnection connection)
        {
            while (true)
            {
                FakeRequest request = await connection.ReadAsync();
                await (request.Op == OpCode.Sync ? connection.ReplyAsync(request, w => w.String(request.Path))
                    : connection.ReplyDataAsync(request, Encoding.UTF8.GetString(TopologyJson.Write(s_after)), modifiedZxid: 2));
            }
        }
    }

    [Test]
    public async Task A_request_of_an_earlier_process_is_not_taken_for_ones_own()
    {
        await using var server = new FakeServer();
        var source = new ZooKeeperTopologySource(server.Options().Connection, new FailoverOptions());
        await using ZooKeeperTopologySource owned = source;
        FakeConnection connection = await server.AcceptSessionAsync();
        await ServeNodesAsync(connection, s_before, 1);
        Task asking = source.AskFailoverAsync(null, CancellationToken.None);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Create), null, ZooKeeperErrorCode.NodeExists);
        await connection.ReadAsync(OpCode.Create);
        connection.Close();
        connection = await server.AcceptSessionAsync();
        _ = AnswerAsync(connection);
        Assert.That(async () => await asking.WithinDeadline(), Throws.TypeOf<ZooKeeperException>());

        static async Task AnswerAsync(FakeConnection connection)
        {
            while (true)
            {
                FakeRequest request = await connection.ReadAsync();
                await (request.Op switch
                {
                    OpCode.GetChildren2 => connection.ReplyAsync(request, w =>
                    {
                        w.Int32(50);
                        for (int i = 0; i < 50; i++)
                        {
                            w.String($"request-{i:0000000000}");
                        }

                        FakeConnection.WriteStat(w, 1);
                    }),
                    OpCode.GetData when request.Path.Contains("/request-", StringComparison.Ordinal)
                        => connection.ReplyDataAsync(request, Encoding.UTF8.GetString(Former(int.Parse(request.Path[^10..])).Write())),
                    OpCode.GetData => connection.ReplyDataAsync(request, Encoding.UTF8.GetString(TopologyJson.Write(s_before))),
                    _ => connection.ReplyAsync(request, w => w.String("/nodes")),
                });
            }
        }

        static OperatorRequest Former(int number) => new("")
        {
            By = $"client library on {Environment.MachineName}, pid {Environment.ProcessId}, request {number}",
            Answer = new RequestAnswer(RequestOutcome.Done, "", s_after.Master, 3),
        };
    }

    private static async Task ServeNodesAsync(FakeConnection connection, Topology topology, long zxid)
    {
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Sync), w => w.String("/nodes"));
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), Encoding.UTF8.GetString(TopologyJson.Write(topology)),
            zxid);
    }

    /// <summary>Up to the moment in which the request is read for its answer.</summary>
    private static async Task ServeRequestAsync(FakeConnection connection)
    {
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Create), null, ZooKeeperErrorCode.NodeExists);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Create), w => w.String(RequestPath));
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Sync), w => w.String(RequestPath));
    }
}
