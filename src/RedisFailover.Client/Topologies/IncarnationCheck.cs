namespace RedisFailover.Client;

/// <summary>Asks the master of a topology of another incarnation, and the one in force, what data they hold, until it may be followed.
/// Meanwhile what was known stays in force.</summary>
internal sealed class IncarnationCheck(NodeSet nodes, ILogger logger, Action<Topology> followed)
{
    /// <summary>A master that hangs must not keep the other from being heard.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

    /// <summary>While writes wait for it.</summary>
    private static readonly Backoff s_urgent = new(TimeSpan.FromMilliseconds(32), TimeSpan.FromMilliseconds(500));

    private static readonly Backoff s_calm = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(5));

    private (string? Incarnation, string Reason) _told;

    /// <summary>Returns when it is followed, or the one that was in force is no more.</summary>
    /// <exception cref="OperationCanceledException">When <paramref name="cancellation"/> ends it.</exception>
    public async Task RunAsync(Topology topology, CancellationToken cancellation)
    {
        for (int refused = 0; ; refused++)
        {
            Snapshot current = nodes.Current;
            Topology inForce = current.Topology;
            Task<NodeInfo?> serving = AskAsync(inForce, cancellation);
            NodeInfo? named = await AskAsync(topology, cancellation).ConfigureAwait(false);
            NodeInfo? served = await serving.ConfigureAwait(false);
            nodes.Known.Add(served is { Role: NodeRole.Master } ? served.Identity : null);
            IncarnationVerdict verdict = nodes.Known.Judge(topology, named, inForce, served);
            cancellation.ThrowIfCancellationRequested();
            if (verdict.Followed)
            {
                if (nodes.Adopt(topology, inForce))
                {
                    Log.IncarnationFollowed(logger, topology.Incarnation, topology.Epoch, inForce.Epoch, topology.Master!);
                    followed(topology);
                }

                return;
            }

            Tell(topology, inForce, verdict);
            using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task pause = Task.Delay((verdict.HoldsWrites ? s_urgent : s_calm).Spread(refused), nodes.Options.TimeProvider, enough.Token);

            // Or until a connection is lost or made, which may be that master's.
            await Task.WhenAny(pause, current.Superseded).ConfigureAwait(false);
            await enough.CancelAsync().ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    private async Task<NodeInfo?> AskAsync(Topology topology, CancellationToken cancellation)
        => topology.Master is { } master
            ? await NodeQuestion.AskAsync(nodes, master, topology.Identity, s_patience, cancellation).ConfigureAwait(false)
            : null;

    private void Tell(Topology topology, Topology inForce, IncarnationVerdict verdict)
    {
        nodes.NotFollowed = verdict.Reason;
        if (_told != (topology.Incarnation, verdict.Reason))
        {
            _told = (topology.Incarnation, verdict.Reason);
            string master = inForce.Master?.ToString() ?? "none";
            Log.IncarnationNotFollowed(logger, topology.Incarnation, topology.Epoch, verdict.Reason, inForce.Epoch, master);
        }

        nodes.Hold(WriteHold.OtherIncarnation, verdict.HoldsWrites);
    }
}
