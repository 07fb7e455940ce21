using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Globalization;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>What each action says to its node, and when it counts as done.</summary>
/// <param name="nodes">A node that is watched; null where it is not.</param>
/// <param name="clock">The clock.</param>
/// <param name="reached">Told of each place of an action (see <see cref="FaultPoint"/>) as it is reached.</param>
internal sealed class NodeCommands(
    Func<NodeAddress, ICommandedNode?> nodes, MonotonicClock clock, Action<string, FailoverAction>? reached = null)
{
    /// <summary>What an action fails with that was not sent since another was decided meanwhile.</summary>
    internal const string Superseded = "a later decision took its place";

    /// <summary>
    /// For so long after a switchover the old master's clients keep their connections: writes that were held are answered by then, and
    /// clients that follow the topology have gone.
    /// </summary>
    private static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// The pauses between announcements of a new master. A client that hears the first while it still looks at the old master, and those
    /// take up to its connect time-out (5 s by default), looks again only a minute later.
    /// </summary>
    private static readonly TimeSpan[] AnnounceAgain = [TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(6)];

    private readonly ConcurrentDictionary<NodeAddress, NodeLane> _lanes = new();

    /// <summary>
    /// Carries out an action that concerns one node, once everything that was decided for that node before is sent, and former leaders are
    /// cut off there. What can be sent at once is sent before this returns.
    /// </summary>
    /// <param name="action">The action.</param>
    /// <param name="term">The term of the leader: former ones are cut off at the node (<see cref="FormerLeaderFence"/>).</param>
    /// <param name="mayAct">Whether the leader still leads: asked just before anything is sent.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="IOException">There is no connection, or it ended: whether the commands were carried out is not known.</exception>
    /// <exception cref="TimeoutException">No answer in time: whether the commands were carried out is not known.</exception>
    /// <exception cref="ArgumentOutOfRangeException">It is no such action.</exception>
    internal async Task<ActionFinished> RunAsync(FailoverAction action, int term, Func<bool> mayAct, CancellationToken cancellationToken)
    {
        TimeSpan begun = clock.Now;
        NodeLane.Turn turn = _lanes.GetOrAdd(action.On!, _ => new NodeLane()).Enter(action);
        Task<ActionFinished> running;
        try
        {
            // Those that wait for the same fail together, and not one time-out after the other.
            if (mayAct() && Node(action.On!).EndFormerLeaders(term, cancellationToken) is { } ending)
            {
                await ending;
            }

            if (!turn.Comes.IsCompleted)
            {
                await turn.Comes;
            }

            if (action is Detach && mayAct() && !turn.IsSuperseded)
            {
                await Node(action.On!).ReadOnAsync(cancellationToken);
            }

            while (mayAct() && Node(action.On!).EndFormerLeaders(term, cancellationToken) is { } anew)
            {
                await anew;
            }

            if (!mayAct())
            {
                return new ActionFinished(begun, action, "the leader's lease has run out");
            }

            if (turn.IsSuperseded)
            {
                return new ActionFinished(clock.Now, action, Superseded);
            }

            // After the lease: a leader that freezes here is the worst case.
            reached?.Invoke(FaultPoint.Before, action);
            running = SendAsync(action, () => mayAct() && !turn.IsSuperseded, cancellationToken);
        }
        finally
        {
            turn.Leave();
        }

        return await running;
    }

    /// <param name="action">The action.</param>
    /// <param name="mayAct">Asked again before what is sent only once the first answer is there.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    private Task<ActionFinished> SendAsync(FailoverAction action, Func<bool> mayAct, CancellationToken cancellationToken) => action switch
    {
        Inspect inspect => InspectAsync(inspect, cancellationToken),
        Promote promote => PromoteAsync(promote, mayAct, cancellationToken),
        KeepRole keep => Task.FromResult(Remember(keep.Node, new ActionFinished(clock.Now, keep), mayAct)),
        Detach
            => CommandAsync(action, [ReplicaOf(action.On!, NodeInfo.Nowhere)], info => info.IsDetached
                ? null : "it still follows its master", cancellationToken, mayAct),
        Follow follow => FollowAsync(follow, follow.Master, mayAct, cancellationToken),
        Demote demote => DemoteAsync(demote, mayAct, cancellationToken),
        PauseWrites { HoldsAll: true } pause => WritePause.PauseAllAsync(pause, Node(pause.Node), clock, cancellationToken),
        PauseWrites pause => PauseAsync(pause, cancellationToken),
        SetMinReplicas set => SetAsync(set, cancellationToken),
        ResumeWrites resume => CommandAsync(action, WritePause.Resume(resume), null, cancellationToken),
        _ => throw new ArgumentOutOfRangeException(nameof(action), action, "An action that is not carried out."),
    };

    private async Task<ActionFinished> InspectAsync(Inspect inspect, CancellationToken cancellationToken)
    {
        await Node(inspect.Node).InspectAsync(cancellationToken);
        return new ActionFinished(clock.Now, inspect);
    }

    private async Task<ActionFinished> PromoteAsync(Promote promote, Func<bool> mayAct, CancellationToken cancellationToken)
    {
        // A pause that somebody left behind there would hold the writes of the new master.
        ImmutableArray<string[]> commands = [[Node(promote.Node).ReplicaOf, "NO", "ONE"], ["CLIENT", "UNPAUSE"]];
        // Where CONFIG is not allowed it is promoted all the same; it may refuse writes then until its replicas have come.
        commands = promote.MinReplicas is { } count ? commands.Insert(0, WritePause.SetMinReplicas(count)) : commands;
        ActionFinished finished = await CommandAsync(
            promote, commands, info => info.Role == NodeRole.Master ? null : "it still says that it is a replica", cancellationToken,
            mayAct);
        return Remember(promote.Node, finished, mayAct);
    }

    private async Task<ActionFinished> FollowAsync(FailoverAction action, NodeAddress master, Func<bool> mayAct,
        CancellationToken cancellationToken)
    {
        ActionFinished finished = await CommandAsync(action, [ReplicaOf(action.On!, master)], IsReplica, cancellationToken, mayAct);
        return Remember(action.On!, finished, mayAct);
    }

    private async Task<ActionFinished> DemoteAsync(Demote demote, Func<bool> mayAct, CancellationToken cancellationToken)
    {
        // The old master of a switchover was asked for its rights before, and what it holds back must not wait for a successor. Any other
        // may refuse, and takes the rest all the same: writes that it has held back or refused would be taken, and lost.
        bool letsGoAtOnce = demote is { CutsClients: false, EndsFailover: false };
        ImmutableArray<string[]> commands = [ReplicaOf(demote.Node, demote.Master)];
        commands = demote.EndsFailover ? commands.Insert(0, ["FAILOVER", "ABORT"]) : commands;
        commands = letsGoAtOnce ? commands.AddRange(LettingGo(demote)) : commands;
        ActionFinished finished = await CommandAsync(demote, commands, IsReplica, cancellationToken, mayAct);
        if (finished.Failure is null && !letsGoAtOnce && mayAct())
        {
            finished = await LetGoAsync(demote, finished, cancellationToken);
        }

        if (finished.Failure is null && demote.CutsClients && mayAct())
        {
            Node(demote.Node).Forget("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        }
        else if (finished.Failure is null)
        {
            _ = CutLaterAsync(demote.Node, mayAct, cancellationToken);
        }

        return Remember(demote.Node, finished, mayAct);
    }

    private static ImmutableArray<string[]> LettingGo(Demote demote)
        => demote.MinReplicas is { } count ? [["CLIENT", "UNPAUSE"], WritePause.SetMinReplicas(count)] : [["CLIENT", "UNPAUSE"]];

    /// <summary>It is a replica by its own word: what its clients wait for is answered, and none of them can write.</summary>
    private async Task<ActionFinished> LetGoAsync(Demote demote, ActionFinished demoted, CancellationToken cancellationToken)
    {
        ImmutableArray<string[]> commands = LettingGo(demote);
        (RespValue[] replies, NodeInfo? info, TimeSpan asked) = await Node(demote.Node).CommandAsync(commands, cancellationToken);
        return info is null ? demoted
            : demoted with { At = clock.Now, Info = Learned(demote.Node, info, commands, replies), Asked = asked };
    }

    /// <summary>After a switchover, beside everything else.</summary>
    private async Task CutLaterAsync(NodeAddress node, Func<bool> mayAct, CancellationToken cancellationToken)
    {
        try
        {
            await Task.Delay(Grace, clock.Provider, cancellationToken);
            if (mayAct() && nodes(node) is { } commanded)
            {
                await commanded.CutApplicationsAsync(cancellationToken);
            }
        }
        catch (OperationCanceledException)
        {
            // Somebody else leads, or the monitor stops: they find out by themselves, later.
        }
    }

    /// <summary>
    /// Tells clients that listen for it, as StackExchange.Redis does on all nodes, that there is a new master: at once, and again for those
    /// that were still busy with their connection to the old one (<see cref="AnnounceAgain"/>). Nobody waits for it.
    /// </summary>
    /// <param name="master">The new master.</param>
    /// <param name="mayAct">Whether the leader still leads: asked before each time.</param>
    /// <param name="cancellationToken">Ends with leadership.</param>
    internal async Task AnnounceAsync(NodeAddress master, Func<bool> mayAct, CancellationToken cancellationToken)
    {
        try
        {
            Publish();
            foreach (TimeSpan pause in AnnounceAgain)
            {
                await Task.Delay(pause, clock.Provider, cancellationToken);
                if (await AnswersAsync(master, cancellationToken))
                {
                    Publish();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Somebody else leads, or the monitor stops: they look by themselves, later.
        }

        void Publish()
        {
            if (mayAct() && nodes(master) is { } commanded)
            {
                commanded.Forget("PUBLISH", NodeRight.MasterChangedChannel, "*");
            }
        }
    }

    /// <summary>
    /// A master that hangs would carry out what is sent to it when it wakes, and then seem to have taken something that its successor
    /// never got.
    /// </summary>
    private async Task<bool> AnswersAsync(NodeAddress node, CancellationToken cancellationToken)
    {
        try
        {
            _ = await Node(node).CommandAsync([], cancellationToken);
            return true;
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            return false;
        }
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
            [WritePause.SetMinReplicas(set.Value.Count),
                ["CONFIG", "SET", "min-slaves-max-lag", set.Value.MaxLag.ToString(CultureInfo.InvariantCulture)]],
            null,
            cancellationToken);
        if (finished.Failure is not null)
        {
            return finished;
        }

        Node(set.Node).Learned(set.Value);
        return finished with { Info = finished.Info is { } info ? info with { MinReplicas = set.Value } : null };
    }

    private static string? IsReplica(NodeInfo info) => info.Role == NodeRole.Replica ? null : "it still says that it is a master";

    private string[] ReplicaOf(NodeAddress node, NodeAddress master)
        => [Node(node).ReplicaOf, master.Host, master.Port.ToString(CultureInfo.InvariantCulture)];

    /// <summary>
    /// So that a node which restarts has the role that it had: best effort, a node without a configuration file has none.
    /// </summary>
    private ActionFinished Remember(NodeAddress node, ActionFinished finished, Func<bool> mayAct)
    {
        // The answer may have been read long after it was sent: by a monitor that was frozen meanwhile.
        if (finished.Failure is null && mayAct())
        {
            Node(node).KeepRole();
        }

        return finished;
    }

    /// <param name="action">The action.</param>
    /// <param name="commands">What it says.</param>
    /// <param name="verify">Why it has had no effect, by the INFO behind the commands; null where that tells nothing.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <param name="mayAct">Of a change of role, asked before a FAILOVER that is in its way is ended; null: none is.</param>
    private async Task<ActionFinished> CommandAsync(FailoverAction action, IReadOnlyList<string[]> commands,
        Func<NodeInfo, string?>? verify, CancellationToken cancellationToken, Func<bool>? mayAct = null)
    {
        Task<(RespValue[], NodeInfo?, TimeSpan)> answers = Node(action.On!).CommandAsync(commands, cancellationToken);
        reached?.Invoke(FaultPoint.Sent, action);
        (RespValue[] replies, NodeInfo? info, TimeSpan asked) = await answers;
        if (mayAct is not null && commands[0] is not ["FAILOVER", ..] && Array.Exists(replies, IsFailingOver) && mayAct())
        {
            // Also a replica may be in one: that of a FAILOVER by force whose target never answered ends by nobody's doing.
            return await CommandAsync(action, [["FAILOVER", "ABORT"], .. commands], verify, cancellationToken, mayAct);
        }

        info = info is null ? null : Learned(action.On!, info, commands, replies);
        string? failure =
            replies.Where((r, i) => r.IsError && !IsBestEffort(action, commands[i], r)).Select(r => r.Text).FirstOrDefault()
            ?? (verify is null ? null : info is null ? "it refuses INFO" : verify(info));
        return new ActionFinished(clock.Now, action, failure, info) { Asked = asked, Refused = failure is not null };
    }

    /// <summary>"ERR REPLICAOF not allowed while failing over."</summary>
    private static bool IsFailingOver(RespValue reply)
        => reply.IsErrorOf("ERR") && reply.Text?.Contains("while failing over", StringComparison.Ordinal) == true;

    private static bool IsBestEffort(FailoverAction action, string[] command, RespValue error) => command switch
    {
        // It may have ended by itself; where it has not, the next command is refused.
        ["FAILOVER", "ABORT"] => true,
        // It came with Redis 6.2 ("ERR Unknown subcommand"); before it a pause ends by itself. A replica takes no writes anyway.
        [.., "UNPAUSE"] => action is not ResumeWrites || error.IsErrorOf("ERR"),
        // What is set beside a change of role.
        ["CONFIG", ..] => action is not SetMinReplicas,
        _ => false,
    };

    /// <summary>The min-replicas-to-write that was set beside is true of its answer: INFO does not tell it.</summary>
    private NodeInfo Learned(NodeAddress node, NodeInfo info, IReadOnlyList<string[]> commands, RespValue[] replies)
        => commands.Zip(replies).FirstOrDefault(c => WritePause.IsSetMinReplicas(c.First) && !c.Second.IsError).First is [.., var count]
            ? info with { MinReplicas = Node(node).LearnedCount(int.Parse(count, CultureInfo.InvariantCulture)),
                MinReplicasBefore = null }
            : info;

    private ICommandedNode Node(NodeAddress node)
        => nodes(node) ?? throw new IOException($"{node} is not watched");
}
