using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// Keeps account of how far each replica is behind, for <see cref="FailoverOptions.MaxReplicaLag"/>: four times within that bound the
/// master is asked how far it has written and then each replica how far it has applied (INFO replication).
/// </summary>
internal sealed class ReplicaLag : IAsyncDisposable
{
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(1);

    private readonly NodeSet _nodes;
    private readonly TimeSpan _most;
    private readonly TimeSpan _pause;
    private readonly TimeProvider _time;
    private readonly ReplicationOffsets _master = new();
    private readonly Dictionary<LiveNode, (long Asked, Task<ReplicationPlace?> Place)> _asked = [];
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
                LiveNode[] replicas = current.Replicas;
                if (current.ConnectedMaster is { } master)
                {
                    await AskAsync([master], replica: false).ConfigureAwait(false);
                    if (Answer(master) is { } said)
                    {
                        _master.Add(said.Asked, said.Place);
                    }
                }

                await AskAsync(replicas, replica: true).ConfigureAwait(false);
                foreach (LiveNode replica in replicas)
                {
                    if (Answer(replica) is { } said && _master.FreshAsOf(said.Place) is { } moment)
                    {
                        replica.FreshAsOf = moment;
                    }
                }

                foreach (LiveNode gone in _asked.Keys.Where(node => !_nodes.Current.Uses(node)).ToArray())
                {
                    _asked.Remove(gone);
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

    /// <summary>Asks those of them that owe no answer, and gives them all a pause's time for it.</summary>
    private async Task AskAsync(LiveNode[] nodes, bool replica)
    {
        foreach (LiveNode node in nodes.Where(node => !_asked.ContainsKey(node)))
        {
            _asked[node] = (_time.GetTimestamp(), PlaceAsync(node, replica));
        }

        using var enough = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
        Task all = Task.WhenAll(nodes.Select(node => _asked[node].Place));
        await Task.WhenAny(all, Task.Delay(_pause, _time, enough.Token)).ConfigureAwait(false);
        await enough.CancelAsync().ConfigureAwait(false);
        _closing.Token.ThrowIfCancellationRequested();
    }

    /// <summary>What the node said and when it had been asked; null while it owes the answer, or when it was none.</summary>
    private (long Asked, ReplicationPlace Place)? Answer(LiveNode node)
    {
        (long asked, Task<ReplicationPlace?> answer) = _asked[node];
        if (!answer.IsCompleted)
        {
            return null;
        }

        // Completed, as was just asked: nothing is waited for.
        _asked.Remove(node);
        return answer.GetAwaiter().GetResult() is { } place ? (asked, place) : null;
    }

    private static async Task<ReplicationPlace?> PlaceAsync(LiveNode node, bool replica)
    {
        try
        {
            // By a script: 3.4 takes INFO for an administrator's command and refuses it without AllowAdmin.
            string? info = (string?)await node.Database(0).ScriptEvaluateAsync("return redis.call('INFO', 'replication')")
                .ConfigureAwait(false);
            return info is null ? null : ReplicationPlace.Parse(info, replica);
        }
#pragma warning disable CA1031 // Whatever a connection that breaks says: its link sees to that, and what is not known is not fresh.
        catch (Exception)
#pragma warning restore CA1031
        {
            return null;
        }
    }
}
