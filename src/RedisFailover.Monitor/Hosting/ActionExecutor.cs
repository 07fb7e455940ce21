using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Globalization;
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
    ConcurrentDictionary<NodeAddress, NodeProber> nodes,
    TopologyStore store,
    RequestInbox inbox,
    Abstention abstention,
    ChannelWriter<Observation> observations,
    MonotonicClock clock,
    ILogger logger,
    string root,
    FaultPoint? faultPoint = null)
{
    private readonly ConcurrentDictionary<string, string> _told = new(StringComparer.Ordinal);

    /// <summary>Starts an action; its end is reported as an observation. What can be sent at once is sent before this returns.</summary>
    internal async Task StartAsync(FailoverAction action, Leadership leadership, CancellationToken cancellationToken)
    {
        TimeSpan begun = clock.Now;
        ActionFinished finished;
        try
        {
            finished = await MayActAsync(action, leadership, cancellationToken)
                ? await RunAsync(action, leadership, cancellationToken)
                : new ActionFinished(begun, action, "the lease on the lead has run out");
        }
        catch (Exception e) when (e is IOException or TimeoutException or ZooKeeperException or FormatException)
        {
            finished = new ActionFinished(clock.Now, action, e is TimeoutException ? "no answer in time" : e.Message);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            finished = new ActionFinished(clock.Now, action, "the lead was lost");
        }
#pragma warning disable CA1031 // A defect must not leave the action under way for ever while this monitor keeps the lead: it is told and tried again.
        catch (Exception e)
#pragma warning restore CA1031
        {
            finished = new ActionFinished(clock.Now, action, $"{e.GetType().Name}: {e.Message}");
        }

        if (finished.Failure is null)
        {
            faultPoint?.Reached(FaultPoint.After, action);
        }

        Tell(action, finished.Failure, finished.At - begun);
        observations.TryWrite(finished);
    }

    /// <summary>Asks the lease; before the first command to a node, former leaders are cut off there.</summary>
    private async ValueTask<bool> MayActAsync(FailoverAction action, Leadership leadership, CancellationToken cancellationToken)
    {
        if (!leadership.Lease.IsHeld)
        {
            return false;
        }

        if (action.On is { } node && Prober(node).EndFormerLeaders(FormerLeaders.Name(root, leadership.Term), cancellationToken) is { } ending)
        {
            await ending;
            if (!leadership.Lease.IsHeld)
            {
                return false;
            }
        }

        // After the lease: a leader that freezes here is the worst case.
        faultPoint?.Reached(FaultPoint.Before, action);
        return true;
    }

    /// <summary>What is tried again and again and fails for the same reason is told once.</summary>
    private void Tell(FailoverAction action, string? failure, TimeSpan took)
    {
        if (action is Inspect)
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

    private Task<ActionFinished> RunAsync(FailoverAction action, Leadership leadership, CancellationToken cancellationToken) => action switch
    {
        ReadTopology => ReadAsync(action, cancellationToken),
        PublishTopology publication => PublishAsync(publication, leadership, cancellationToken),
        RefuseWish refusal => RefuseAsync(refusal, leadership, cancellationToken),
        Inspect inspect => InspectAsync(inspect, cancellationToken),
        Promote promote => PromoteAsync(promote, leadership, cancellationToken),
        Detach => CommandAsync(action, [ReplicaOf(NodeInfo.Nowhere)], info => info.IsDetached ? null : "it still follows its master", cancellationToken),
        Follow follow => FollowAsync(follow, follow.Master, leadership, cancellationToken),
        Demote demote => DemoteAsync(demote, leadership, cancellationToken),
        PauseWrites { HoldsAll: true } pause => WritePause.PauseAllAsync(pause, Prober(pause.Node), clock, cancellationToken),
        PauseWrites pause => PauseAsync(pause, cancellationToken),
        SetMinReplicas set => SetAsync(set, cancellationToken),
        ResumeWrites resume => CommandAsync(action, WritePause.Resume(resume), null, cancellationToken),
        Resign => ResignAsync(action, leadership),
        _ => throw new ArgumentOutOfRangeException(nameof(action), action, "An action that is not carried out."),
    };

    private async Task<ActionFinished> ReadAsync(FailoverAction action, CancellationToken cancellationToken)
    {
        TopologyRead read = await store.ReadAsync(cancellationToken);
        // After its sync: a request that another leader has answered is not taken up again.
        await inbox.RefreshAsync(cancellationToken);
        observations.TryWrite(read);
        return new ActionFinished(clock.Now, action);
    }

    private async Task<ActionFinished> PublishAsync(PublishTopology publication, Leadership leadership, CancellationToken cancellationToken)
    {
        int version = await store.PublishAsync(leadership, publication, cancellationToken);
        if (publication.Request is { Answer: not null })
        {
            _ = inbox.ClearAwayAsync(leadership, cancellationToken);
        }

        return new ActionFinished(clock.Now, publication, Version: version);
    }

    private async Task<ActionFinished> RefuseAsync(RefuseWish refusal, Leadership leadership, CancellationToken cancellationToken)
    {
        // The history first: whoever waits for the wish to disappear finds the answer there.
        await store.RecordAsync(leadership, refusal.Record, cancellationToken);
        if (refusal.Request is { } request)
        {
            await store.AnswerAsync(leadership, request, cancellationToken);
            _ = inbox.ClearAwayAsync(leadership, cancellationToken);
        }
        else
        {
            await store.ClearWishAsync(leadership, cancellationToken);
        }

        return new ActionFinished(clock.Now, refusal);
    }

    private async Task<ActionFinished> ResignAsync(FailoverAction action, Leadership leadership)
    {
        abstention.Begin();
        try
        {
            // Not cancelled by the end of the lead, which it brings about.
            await leadership.ResignAsync(CancellationToken.None);
            return new ActionFinished(clock.Now, action);
        }
        catch (ZooKeeperException)
        {
            abstention.Revoke();
            throw;
        }
    }

    private async Task<ActionFinished> InspectAsync(Inspect inspect, CancellationToken cancellationToken)
    {
        await Prober(inspect.Node).InspectAsync(cancellationToken);
        return new ActionFinished(clock.Now, inspect);
    }

    private async Task<ActionFinished> PromoteAsync(Promote promote, Leadership leadership, CancellationToken cancellationToken)
    {
        ImmutableArray<string[]> commands = [["REPLICAOF", "NO", "ONE"]];
        // Where CONFIG is not allowed it is promoted all the same; it may refuse writes then until its replicas have come.
        commands = promote.MinReplicas is { } count ? commands.Insert(0, WritePause.SetMinReplicas(count)) : commands;
        ActionFinished finished = await CommandAsync(
            promote, commands, info => info.Role == NodeRole.Master ? null : "it still says that it is a replica", cancellationToken);
        Remember(promote.Node, finished, leadership);
        return finished;
    }

    private async Task<ActionFinished> FollowAsync(FailoverAction action, NodeAddress master, Leadership leadership, CancellationToken cancellationToken)
    {
        ActionFinished finished = await CommandAsync(action, [ReplicaOf(master)], IsReplica, cancellationToken);
        Remember(action.On!, finished, leadership);
        return finished;
    }

    private async Task<ActionFinished> DemoteAsync(Demote demote, Leadership leadership, CancellationToken cancellationToken)
    {
        // Replica first, then the pause is lifted and the clients are cut off: none of them can write in between.
        ImmutableArray<string[]> commands = [ReplicaOf(demote.Master), ["CLIENT", "UNPAUSE"]];
        commands = demote.MinReplicas is { } count ? commands.Add(WritePause.SetMinReplicas(count)) : commands;
        ActionFinished finished = await CommandAsync(demote, commands, IsReplica, cancellationToken);
        if (finished.Failure is null)
        {
            if (demote.CutsClients && leadership.Lease.IsHeld)
            {
                Prober(demote.Node).Forget("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
            }

            if (demote.Record is { } record)
            {
                _ = store.RecordAsync(leadership, record, cancellationToken);
            }
        }

        Remember(demote.Node, finished, leadership);
        return finished;
    }

    /// <summary>What INFO says holds from its answer on: it was asked behind the pause, and nothing moves any more.</summary>
    private async Task<ActionFinished> PauseAsync(PauseWrites pause, CancellationToken cancellationToken)
    {
        ActionFinished finished = await CommandAsync(pause, [WritePause.PauseWritesAlone(pause)], _ => null, cancellationToken);
        return finished with { Asked = finished.At };
    }

    private async Task<ActionFinished> SetAsync(SetMinReplicas set, CancellationToken cancellationToken)
    {
        ActionFinished finished = await CommandAsync(
            set,
            [WritePause.SetMinReplicas(set.Value.Count), ["CONFIG", "SET", "min-slaves-max-lag", set.Value.MaxLag.ToString(CultureInfo.InvariantCulture)]],
            null,
            cancellationToken);
        if (finished.Failure is not null)
        {
            return finished;
        }

        Prober(set.Node).Learned(set.Value);
        return finished with { Info = finished.Info is { } info ? info with { MinReplicas = set.Value } : null };
    }

    private static string? IsReplica(NodeInfo info) => info.Role == NodeRole.Replica ? null : "it still says that it is a master";

    private static string[] ReplicaOf(NodeAddress master) => ["REPLICAOF", master.Host, master.Port.ToString(CultureInfo.InvariantCulture)];

    /// <summary>So that a node which restarts has the role that it had: best effort, a node without a configuration file has none.</summary>
    private void Remember(NodeAddress node, ActionFinished finished, Leadership leadership)
    {
        // The answer may have been read long after it was sent: by a monitor that was frozen meanwhile.
        if (finished.Failure is null && leadership.Lease.IsHeld)
        {
            Prober(node).Forget("CONFIG", "REWRITE");
        }
    }

    private async Task<ActionFinished> CommandAsync(
        FailoverAction action, IReadOnlyList<string[]> commands, Func<NodeInfo, string?>? verify, CancellationToken cancellationToken)
    {
        Task<(RespValue[], NodeInfo?, TimeSpan)> answers = Prober(action.On!).CommandAsync(commands, cancellationToken);
        faultPoint?.Reached(FaultPoint.Sent, action);
        (RespValue[] replies, NodeInfo? info, TimeSpan asked) = await answers;
        // CLIENT UNPAUSE came with Redis 6.2; before it a pause ends by itself.
        // What is set beside a change of role is best effort.
        string? failure = replies.Where((r, i) => r.IsError && commands[i][^1] != "UNPAUSE" && (commands[i][0] != "CONFIG" || action is SetMinReplicas)).Select(r => r.Text).FirstOrDefault()
            ?? (verify is null ? null : info is null ? "it refuses INFO" : verify(info));
        return new ActionFinished(clock.Now, action, failure, info) { Asked = asked };
    }

    private NodeProber Prober(NodeAddress node)
        => nodes.GetValueOrDefault(node) ?? throw new IOException($"{node} is not watched");
}
