using System.Text;
using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>
/// Replies that arrive together are handed over together; even so nobody who blocks keeps another from his. The callers do without the
/// test's synchronization context, which would take them to other threads by itself.
/// </summary>
[TestFixture]
public sealed class HandoffTests
{
    private const int Callers = 4;

    // Threads that block are made up for slowly: the session must bear it.
    private const int TimeoutMs = 60_000;

    [Test]
    public async Task Code_that_blocks_until_the_others_of_its_batch_have_gone_on_does_not_wait_in_vain()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(timeoutMs: TimeoutMs);
        await using ZooKeeperSession owned = session;
        using var barrier = new CountdownEvent(Callers);
        Task[] callers = [.. Enumerable.Range(0, Callers).Select(_ => CallAsync())];
        await AnswerTogetherAsync(connection, Callers);
        await Task.WhenAll(callers).WithinDeadline();

        async Task CallAsync()
        {
            await session.GetDataAsync("/a").ConfigureAwait(false);
            barrier.Signal();
            barrier.Wait();
        }
    }

    [Test]
    public async Task Code_that_blocks_on_a_request_of_its_own_while_another_waits_to_be_resumed_gets_its_answer()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(timeoutMs: TimeoutMs);
        await using ZooKeeperSession owned = session;
        Task<string> blocking = BlockAsync();
        ValueTask<Znode> other = session.GetDataAsync("/a");
        await AnswerTogetherAsync(connection, 2);
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "second");
        Assert.That(await blocking.WithinDeadline(), Is.EqualTo("second"));
        await other.WithinDeadline();

        async Task<string> BlockAsync()
        {
            await session.GetDataAsync("/a").ConfigureAwait(false);
            using var answered = new ManualResetEventSlim();
            Task<Znode> second = session.GetDataAsync("/b").AsTask();
            _ = second.ContinueWith(_ => answered.Set(), TaskScheduler.Default);
            answered.Wait();
            return Encoding.UTF8.GetString((await second.ConfigureAwait(false)).Data.Span);
        }
    }

    [Test]
    public async Task What_resumed_code_sends_is_sent_also_when_the_last_of_the_batch_goes_on_without_sending()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(timeoutMs: TimeoutMs);
        await using ZooKeeperSession owned = session;
        for (int round = 0; round < 200; round++)
        {
            int sending = round % Callers;
            Task[] callers = [.. Enumerable.Range(0, Callers).Select(i => CallAsync(i <= sending))];
            await AnswerTogetherAsync(connection, Callers);
            await AnswerTogetherAsync(connection, sending + 1);
            await Task.WhenAll(callers).WithinDeadline();
        }

        async Task CallAsync(bool sends)
        {
            await session.GetDataAsync("/a").ConfigureAwait(false);
            if (sends)
            {
                await session.GetDataAsync("/b").ConfigureAwait(false);
            }
        }
    }

    /// <summary>Waits for so many reads, and answers them all with one write.</summary>
    private static async Task AnswerTogetherAsync(FakeConnection connection, int count)
    {
        var replies = new JuteWriter();
        for (int i = 0; i < count; i++)
        {
            FakeRequest request = await connection.ReadAsync(OpCode.GetData);
            int start = replies.BeginFrame();
            replies.Int32(request.Xid);
            replies.Int64(++connection.Zxid);
            replies.Int32(0);
            replies.Buffer("first"u8);
            FakeConnection.WriteStat(replies, 1);
            replies.EndFrame(start);
        }

        await connection.SendBytesAsync(replies.Written);
    }
}
