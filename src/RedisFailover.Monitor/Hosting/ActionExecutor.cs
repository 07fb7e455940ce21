using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Redis;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Carries out what was decided, decides nothing. Before each action the lease is asked, at the action itself: a leader that was
/// frozen and is woken does nothing any more.
/// </summary>
internal sealed class ActionExecutor(
    NodeCommands commands,
    TopologyStore store,
    RequestInbox inbox,
    ElectionBackoff abstention,
    ChannelWriter<Observation> observations,
    MonotonicClock clock,
    ILogger logger,
    Action<string, FailoverAction>? reached = null,
    ConfigStore? config = null)
{
    private readonly ConcurrentDictionary<string, string> _told = new(StringComparer.Ordinal);

    /// <summary>Starts an action; its end is reported as an observation. What can be sent at once is sent before this returns.</summary>
    internal async Task StartAsync(FailoverAction action, ILeadership lead, CancellationToken cancellationToken)
    {
        TimeSpan begun = clock.Now;
        ActionFinished finished;
        try
        {
            finished = await RunAsync(action, lead, cancellationToken);
        }
        catch (Exception e) when (e is IOException or TimeoutException or ZooKeeperException or FormatException)
        {
            finished = new ActionFinished(clock.Now, action, e is TimeoutException ? "no answer in time" : e.Message);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            finished = new ActionFinished(clock.Now, action, "leadership was lost");
        }
#pragma warning disable CA1031 // A defect must not leave the action under way for ever: it is told, and tried again.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Log.Defect(logger, action.ToString(), e);
            finished = new ActionFinished(clock.Now, action, $"{e.GetType().Name}: {e.Message}");
        }

        if (finished.Failure is null)
        {
            reached?.Invoke(FaultPoint.After, action);
        }

        Tell(action, finished.Failure, finished.At - begun);
        observations.TryWrite(finished);
    }

    /// <summary>What is tried again and again and fails for the same reason is told once.</summary>
    private void Tell(FailoverAction action, string? failure, TimeSpan took)
    {
        if (action is Inspect || failure == NodeCommands.Superseded)
        {
            return;
        }

        string what = action.ToString()!;
        if (failure is null)
        {
            _told.TryRemove(what, out _);
            if (action is not ReadTopology)
            {
                Log.ActionDone(logger, what, took.TotalMilliseconds);
            }
        }
        else if (_told.GetValueOrDefault(what) != failure)
        {
            _told[what] = failure;
            Log.ActionFailed(logger, what, failure);
        }
    }

    private Task<ActionFinished> RunAsync(FailoverAction action, ILeadership lead, CancellationToken cancellationToken)
    {
        if (action.On is not null)
        {
            return OnNodeAsync(action, lead, cancellationToken);
        }

        if (!lead.MayAct)
        {
            return Task.FromResult(new ActionFinished(clock.Now, action, "the leader's lease has run out"));
        }

        // After the lease: a leader that freezes here is the worst case.
        reached?.Invoke(FaultPoint.Before, action);
        return OnZooKeeperAsync(action, lead, cancellationToken);
    }

    private Task<ActionFinished> OnZooKeeperAsync(FailoverAction action, ILeadership lead, CancellationToken cancellationToken)
        => action switch
    {
        ReadTopology => ReadAsync(action, lead, cancellationToken),
        PublishTopology publication => PublishAsync(publication, lead, cancellationToken),
        PublishConfig change => ChangeAsync(change, lead, cancellationToken),
        AnswerRequest answer => AnswerAsync(answer, lead, cancellationToken),
        RefuseWish refusal => RefuseAsync(refusal, lead, cancellationToken),
        Resign => ResignAsync(action, lead),
        _ => throw new ArgumentOutOfRangeException(nameof(action), action, "An action that is not carried out."),
    };

    private async Task<ActionFinished> ReadAsync(FailoverAction action, ILeadership lead, CancellationToken cancellationToken)
    {
        // Before the topology, with which the leader begins to act: what is asked of it, and whether it may.
        observations.TryWrite(await store.ReadAsync(lead, () => ReadBesideAsync(cancellationToken), cancellationToken));
        return new ActionFinished(clock.Now, action);
    }

    /// <summary>After the topology's sync: a request that another leader has answered is not taken up again.</summary>
    private async Task ReadBesideAsync(CancellationToken cancellationToken)
    {
        Task requests = inbox.RefreshAsync(cancellationToken);
        if (config is not null)
        {
            observations.TryWrite(await config.ReadAsync(cancellationToken));
        }

        await requests;
    }

    private async Task<ActionFinished> PublishAsync(PublishTopology publication, ILeadership lead, CancellationToken cancellationToken)
    {
        (int version, Topology written) = await store.PublishAsync(lead, publication, cancellationToken);
        if (publication.Request is { Answer: not null })
        {
            _ = inbox.ClearAwayAsync(lead, cancellationToken);
        }

        if (publication is { Record.Kind: HistoryKind.Failover or HistoryKind.Switchover,
            Next: { State: TopologyState.Ok, Master: { } master } })
        {
            _ = commands.AnnounceAsync(master, () => lead.MayAct, cancellationToken);
        }

        return new ActionFinished(clock.Now, publication, Version: version) { Written = written };
    }

    private async Task<ActionFinished> ChangeAsync(PublishConfig change, ILeadership lead, CancellationToken cancellationToken)
    {
        (int version, ClusterConfig? written) = await config!.PublishAsync(lead, change, store, cancellationToken);
        _ = inbox.ClearAwayAsync(lead, cancellationToken);
        return new ActionFinished(clock.Now, change, Version: version) { WrittenConfig = written };
    }

    private async Task<ActionFinished> AnswerAsync(AnswerRequest answer, ILeadership lead, CancellationToken cancellationToken)
    {
        await store.AnswerAsync(lead, answer.Step, cancellationToken);
        _ = inbox.ClearAwayAsync(lead, cancellationToken);
        return new ActionFinished(clock.Now, answer);
    }

    private async Task<ActionFinished> RefuseAsync(RefuseWish refusal, ILeadership lead, CancellationToken cancellationToken)
    {
        if (refusal.Request is { } request)
        {
            // It stands with the request: a thousand of them must not push last night's failovers out of the history.
            await store.AnswerAsync(lead, request, cancellationToken);
            Log.Recorded(logger, refusal.Record);
            _ = inbox.ClearAwayAsync(lead, cancellationToken);
        }
        else
        {
            // The history first: whoever waits for the wish to disappear finds the answer there.
            await store.RecordAsync(lead, refusal.Record, cancellationToken);
            await store.ClearWishAsync(lead, cancellationToken);
        }

        return new ActionFinished(clock.Now, refusal);
    }

    private async Task<ActionFinished> ResignAsync(FailoverAction action, ILeadership lead)
    {
        abstention.Begin();
        try
        {
            // Not cancelled by the end of leadership, which it brings about.
            await lead.ResignAsync(CancellationToken.None);
            return new ActionFinished(clock.Now, action);
        }
        catch (ZooKeeperException)
        {
            abstention.Revoke();
            throw;
        }
    }

    private async Task<ActionFinished> OnNodeAsync(FailoverAction action, ILeadership lead, CancellationToken cancellationToken)
    {
        ActionFinished finished = await commands.RunAsync(
            action, lead.Term, () => lead.MayAct, cancellationToken);
        if (finished.Failure is null && (action is Demote demote ? demote.Record : (action as Follow)?.Record) is { } record)
        {
            _ = store.RecordAsync(lead, record, cancellationToken);
        }

        return finished;
    }
}
