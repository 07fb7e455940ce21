namespace RedisFailover.Client;

/// <summary>Keeps account of how far each replica is behind, for <see cref="FailoverOptions.MaxReplicaLag"/>: four times within that bound
/// the master is asked how far it has written and then each replica how far it has applied (INFO replication).</summary>
internal sealed class ReplicaLag : IAsyncDisposable
{
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(1);

    private readonly NodeSet _nodes;
    private readonly TimeSpan _most;
    private readonly TimeSpan _pause;
    private readonly TimeProvider _time;
    private readonly ReplicationOffsets _master = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _running;

    public ReplicaLag(NodeSet nodes, TimeSpan most)
    {
        _nodes = nodes;
        _most = most;
        _pause = most / 4 < s_longestPause ? most / 4 : s_longestPause;
        _time = nodes.Options.TimeProvider;
        _running = Task.Run(RunAsync);
    }

    /// <summary>Those of the replicas that are known to be behind by no more than the bound.</summary>
    public LiveNode[] Fresh(LiveNode[] replicas)
        => Array.FindAll(replicas, replica => replica.FreshAsOf is var moment && moment != 0 && _time.GetElapsedTime(moment) <= _most);

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _closing.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                Snapshot current = _nodes.Current;
                if (current.ConnectedMaster is { } master)
                {
                    foreach ((_, long asked, ReplicationPlace place) in await AskAsync([master], replica: false).ConfigureAwait(false))
                    {
                        _master.Add(asked, place);
                    }
                }

                foreach ((LiveNode replica, _, ReplicationPlace place) in await AskAsync(current.Replicas, replica: true)
                    .ConfigureAwait(false))
                {
                    replica.FreshAsOf = _master.FreshAsOf(place) ?? replica.FreshAsOf;
                }

                // Also when nobody answered: what was fresh a while ago may be no more.
                _nodes.Rebuild();
                await PauseAsync(current).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
    }

    /// <summary>Until it is time to ask again, or until there are other nodes to ask.</summary>
    private async Task PauseAsync(Snapshot asked)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
        Task pause = Task.Delay(_pause, _time, enough.Token);
        Snapshot current = _nodes.Current;
        while (!pause.IsCompleted && current.ConnectedMaster == asked.ConnectedMaster
            && current.Replicas.AsSpan().SequenceEqual(asked.Replicas))
        {
            await Task.WhenAny(pause, current.Superseded).ConfigureAwait(false);
            current = _nodes.Current;
        }

        await enough.CancelAsync().ConfigureAwait(false);
        _closing.Token.ThrowIfCancellationRequested();
    }

    /// <summary>Asks those that owe no answer, gives all a pause's time, and returns what they said and when they were asked.</summary>
    private async Task<List<(LiveNode Node, long Asked, ReplicationPlace Place)>> AskAsync(LiveNode[] nodes, bool replica)
    {
        foreach (LiveNode node in nodes)
        {
            node.Place ??= PlaceAsync(node, replica);
        }

        using var enough = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
        Task all = Task.WhenAll(nodes.Select(node => node.Place!));
        await Task.WhenAny(all, Task.Delay(_pause, _time, enough.Token)).ConfigureAwait(false);
        await enough.CancelAsync().ConfigureAwait(false);
        _closing.Token.ThrowIfCancellationRequested();

        List<(LiveNode, long, ReplicationPlace)> said = [];
        foreach (LiveNode node in nodes.Where(node => node.Place!.IsCompleted))
        {
            (long asked, ReplicationPlace? answer) = await node.Place!.ConfigureAwait(false);
            node.Place = null;
            if (answer is { } place)
            {
                said.Add((node, asked, place));
            }
        }

        return said;
    }

    private async Task<(long Asked, ReplicationPlace? Place)> PlaceAsync(LiveNode node, bool replica)
    {
        long asked = _time.GetTimestamp();
        try
        {
            // By a script: 3.4 takes INFO for an administrator's command and refuses it without AllowAdmin.
            string? info = (string?)await node.Database(0).ScriptEvaluateAsync("return redis.call('INFO', 'replication')")
                .ConfigureAwait(false);
            return (asked, info is null ? null : ReplicationPlace.Parse(info, replica));
        }
#pragma warning disable CA1031 // Whatever a connection that breaks says: its link sees to that, and what is not known is not fresh.
        catch (Exception)
#pragma warning restore CA1031
        {
            return (asked, null);
        }
    }
}
