using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>
/// Who no longer leads empties the term, whatever happens to the connection: nobody has to wait for a lease that has ended.
/// </summary>
[TestFixture]
public sealed class WithdrawalTests
{
    [Test]
    public async Task A_lead_disposed_without_a_connection_is_given_up_as_soon_as_there_is_one_again_and_as_often_as_it_takes()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        Leadership leadership = await a.Election.CampaignAsync().WithinDeadline();
        var reconnect = new TaskCompletionSource();
        int attempts = 0;
        server.Greeting = reconnect.Task;
        server.Before = request =>
        {
            // The first two are lost on their way.
            return IsWithdrawal(request) && ++attempts < 3 ? LostAsync(server) : Task.CompletedTask;
        };
        server.Cut();
        await Waiting.Until(() => a.Client.Session?.State == ZooKeeperSessionState.Disconnected);
        await leadership.DisposeAsync().AsTask().WithinDeadline();
        Assert.That(server.Get(Party.Term)!.Value.Data, Is.Not.Empty);
        reconnect.SetResult();
        await Waiting.Until(() => server.Get(Party.Term)!.Value.Data.Length == 0, () => $"{attempts} attempts");
        Assert.That((attempts, server.Get(Party.Leader)), Is.EqualTo((3, default((string, int, long)?))));
    }

    [Test]
    public async Task A_resignation_whose_reply_is_lost_is_repeated_and_the_next_campaign_waits_for_it()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        await using Leadership leadership = await a.Election.CampaignAsync().WithinDeadline();
        int attempts = 0;
        server.Before = request =>
        {
            if (IsWithdrawal(request) && ++attempts == 1)
            {
                server.Cut();
            }

            return Task.CompletedTask;
        };
        Assert.That((await Waiting.ThrowsZooKeeper(leadership.ResignAsync())).Code, Is.EqualTo(ZooKeeperErrorCode.ConnectionLoss));
        await using Leadership next = await a.Election.CampaignAsync().WithinDeadline();
        Assert.That(attempts, Is.EqualTo(2));
        Assert.That(next.Term, Is.GreaterThan(leadership.Term));
        Assert.That(next.Lease.IsHeld, Is.True);
    }

    [Test]
    public async Task What_undoes_a_cancelled_campaign_goes_on_after_the_connection_was_lost()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        using var cancel = new CancellationTokenSource();
        var won = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reply = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bool cut = false;
        server.BeforeReply = request =>
        {
            if (!request.Writes(Party.Leader))
            {
                return Task.CompletedTask;
            }

            won.TrySetResult();
            return reply.Task;
        };
        server.Before = request =>
        {
            bool first = IsWithdrawal(request) && !cut;
            cut |= first;
            return first ? LostAsync(server) : Task.CompletedTask;
        };
        Task<Leadership> campaign = a.Election.CampaignAsync(cancel.Token);
        await won.Task.WithinDeadline();
        await cancel.CancelAsync();
        Assert.That(async () => await campaign.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        reply.SetResult();
        await Waiting.Until(() => cut && server.Get(Party.Term)!.Value.Data.Length == 0);
        Assert.That(server.Get(Party.Leader), Is.Null);
    }

    [TestCase(true, "multi /term: BadVersion (the fence: another was elected)", "a no longer leads (term {0}): another was elected")]
    [TestCase(false, "multi /term: NoNode (the fence)", "a no longer leads (term {0}): multi /term: NoNode (the fence)")]
    public async Task A_fence_that_fails_ends_the_lead_and_says_that_another_leads_only_if_so(bool elected, string message, string line)
    {
        using var log = new RecordedLog();
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a", leaseMs: 20_000, log: log);
        Leadership leadership = await a.Election.CampaignAsync().WithinDeadline();
        if (elected)
        {
            server.Set(Party.Term, "b");
        }
        else
        {
            server.Delete(Party.Term);
        }

        ZooKeeperException failed = await Waiting.ThrowsZooKeeper(leadership.CommitAsync([ZnodeOperation.Delete("/a")]));
        Assert.That((failed.FailedIndex, failed.Message), Is.EqualTo((-1, message)));
        Assert.That(leadership.Lost.IsCancellationRequested, Is.True);
        Assert.That(leadership.Lease.IsHeld, Is.False);
        string told = string.Format(System.Globalization.CultureInfo.InvariantCulture, line, leadership.Term);
        await Waiting.Until(() => log.Entries.Any(e => e.Text == told), () => string.Join('\n', log.Entries));
    }

    /// <summary>The request does not reach the server, nor anything after it on that connection.</summary>
    private static Task LostAsync(ModelServer server)
    {
        server.Cut();
        return Task.FromException(new IOException("lost on its way"));
    }

    private static bool IsWithdrawal(ModelRequest request)
        => request.Operations is [{ Op: OpCode.SetData, Path: Party.Term, Data.Length: 0 }, ..];
}
