using System.Text;
using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

[TestFixture]
public sealed class WatchedValueTests
{
    [Test]
    public async Task Case_19_a_re_read_that_fails_after_the_event_is_repeated_until_it_has_the_last_value()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        await using WatchedValue value = client.Watch("/v");
        FakeConnection connection = await server.AcceptSessionAsync();
        await AnswerSyncAsync(connection);
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "1", modifiedZxid: 1);
        await Waiting.Until(() => Text(value.Current) == "1");

        await connection.SendEventAsync(WatchedEventType.DataChanged, "/v");
        await connection.ReadAsync(OpCode.GetData);
        connection.Close();
        for (int i = 0; i < 3; i++)
        {
            FakeConnection broken = await server.AcceptSessionAsync();
            await broken.ReadAsync(OpCode.GetData);
            broken.Close();
        }

        FakeConnection last = await server.AcceptSessionAsync();
        await last.ReplyDataAsync(await last.ReadAsync(OpCode.GetData), "2", modifiedZxid: 2);
        await Waiting.Until(() => Text(value.Current) == "2", () => Text(value.Current) ?? "null");
    }

    [Test]
    public async Task It_never_goes_back_to_an_older_value_within_a_session()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        await using WatchedValue value = client.Watch("/v");
        List<string?> seen = [];
        value.Changed += v => seen.Add(Text(v));
        FakeConnection connection = await server.AcceptSessionAsync();
        await AnswerSyncAsync(connection);
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "new", modifiedZxid: 5);
        await connection.SendEventAsync(WatchedEventType.DataChanged, "/v");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "old", modifiedZxid: 4);
        await connection.SendEventAsync(WatchedEventType.DataChanged, "/v");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "newest", modifiedZxid: 6);
        await Waiting.Until(() => Text(value.Current) == "newest");
        await Waiting.Until(() => seen.Count == 2);
        Assert.That(seen, Is.EqualTo(new[] { "new", "newest" }));
    }

    [Test]
    public async Task A_missing_znode_is_null_until_it_is_created_also_between_the_two_requests()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        await using WatchedValue value = client.Watch("/v");
        FakeConnection connection = await server.AcceptSessionAsync();
        await AnswerSyncAsync(connection);

        // Created between getData and exists.
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.GetData), null, ZooKeeperErrorCode.NoNode);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), w => FakeConnection.WriteStat(w, 3));
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "1", modifiedZxid: 3);
        await Waiting.Until(() => Text(value.Current) == "1");

        await connection.SendEventAsync(WatchedEventType.Deleted, "/v");
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.GetData), null, ZooKeeperErrorCode.NoNode);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), null, ZooKeeperErrorCode.NoNode);
        await Waiting.Until(() => value.Current is null);

        await connection.SendEventAsync(WatchedEventType.Created, "/v");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "2", modifiedZxid: 7);
        await Waiting.Until(() => Text(value.Current) == "2");
    }

    [Test]
    public async Task After_an_expiry_it_goes_on_with_the_next_session_and_syncs_first()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        await using WatchedValue value = client.Watch("/v");
        FakeConnection connection = await server.AcceptSessionAsync();
        await AnswerSyncAsync(connection);
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "1", modifiedZxid: 1);
        await Waiting.Until(() => Text(value.Current) == "1");
        connection.Close();
        FakeConnection refused = await server.AcceptAsync();
        await refused.ReadConnectAsync();
        await refused.GrantAsync(0, 0);

        FakeConnection next = await server.AcceptSessionAsync(0x20);
        await AnswerSyncAsync(next);
        await next.ReplyDataAsync(await next.ReadAsync(OpCode.GetData), "2", modifiedZxid: 2);
        await Waiting.Until(() => Text(value.Current) == "2");
    }

    [Test]
    public async Task The_enumeration_starts_with_the_current_value_skips_and_always_ends_on_the_latest()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        await using WatchedValue value = client.Watch("/v");
        FakeConnection connection = await server.AcceptSessionAsync();
        await AnswerSyncAsync(connection);
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "0", modifiedZxid: 1);
        await Waiting.Until(() => value.IsRead);
        using var stop = new CancellationTokenSource();
        List<string?> seen = [];
        Task following = Task.Run(async () =>
        {
            await foreach (Znode? v in value.ChangesAsync(stop.Token))
            {
                seen.Add(Text(v));
                if (Text(v) == "50")
                {
                    return;
                }
            }
        });
        await Waiting.Until(() => seen.Count > 0);
        for (int i = 1; i <= 50; i++)
        {
            await connection.SendEventAsync(WatchedEventType.DataChanged, "/v");
            await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), $"{i}", modifiedZxid: 1 + i);
        }

        await following.WithinDeadline();
        Assert.That(seen[0], Is.EqualTo("0"));
        Assert.That(seen.Select(s => int.Parse(s!, System.Globalization.CultureInfo.InvariantCulture)), Is.Ordered.Ascending);
        Assert.That(seen[^1], Is.EqualTo("50"));
    }

    [Test]
    public async Task Its_end_waits_for_no_connection()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        WatchedValue value = client.Watch("/v");
        FakeConnection connection = await server.AcceptSessionAsync();
        await AnswerSyncAsync(connection);
        await connection.ReadAsync(OpCode.GetData);
        connection.Close();
        FakeConnection next = await server.AcceptAsync();
        await next.ReadConnectAsync();
        await value.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(1));
        Assert.That(value.IsRead, Is.False);
        next.Close();
    }

    private static string? Text(Znode? znode) => znode is null ? null : Encoding.UTF8.GetString(znode.Data.Span);

    private static async Task AnswerSyncAsync(FakeConnection connection)
        => await connection.ReplyAsync(await connection.ReadAsync(OpCode.Sync), w => w.String("/v"));
}
