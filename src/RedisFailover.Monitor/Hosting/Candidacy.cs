using System.Text.Json;
using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>Stands for election in one cluster, leads until that is lost, stands again; gives up at once when it is to end.</summary>
internal sealed class Candidacy(
    MonitorOptions options, SharedParts shared, string candidate, ClusterLoop loop)
{
    private readonly ZnodePaths _paths = new(options.ZnodePath);

    /// <summary>This monitor's place among the others.</summary>
    internal required MonitorRegistry Registry { get; init; }

    /// <summary>The registered monitors, which a leader tends.</summary>
    internal required MemberRegister Register { get; init; }

    /// <summary>The cluster's problems, which a leader writes.</summary>
    internal required ProblemStore Problems { get; init; }

    /// <summary>Whether a leader may write the topology.</summary>
    internal required TopologyRight Right { get; init; }

    /// <summary>Which monitor should lead, where there are several clusters.</summary>
    internal required LeadSpread Spread { get; init; }

    internal async Task RunAsync(CancellationToken cancellationToken)
    {
        var election = new LeaderElection(shared.Keeper, new LeaderElectionOptions
        {
            LeaderPath = _paths.Leader,
            TermPath = _paths.Term,
            CandidateId = candidate,
            LeaderData = LeaderData,
            Admission = AdmittedAsync,
            Failed = loop.Refusals.Election,
            Deference = shared.HasMany ? () => Spread.Deference() : null,
            IsAlive = shared.HasMany ? () => loop.Coordinator.SinceTurn < SharedParts.Stuck : null,
        });
        while (true)
        {
            await loop.Backoff.WaitAsync(cancellationToken);
            Leadership leadership;
            try
            {
                leadership = await election.CampaignAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                await WithdrawnAsync(election);
                throw;
            }

            loop.BeginLeading(leadership);
            try
            {
                using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, leadership.Lost);
                Registry.IsLeading = true;
                // None of them ends before leadership does; where one fails another monitor is to lead.
                Task[] parts =
                [
                    Registry.Others.WatchAsync(either.Token),
                    Problems.WriteAsync(leadership, either.Token),
                    Right.WatchAsync(either.Token),
                    Register.TendAsync(leadership, () => loop.Coordinator.Policy.MonitorAbsence, either.Token),
                    .. shared.HasMany ? [Spread.WatchAsync(leadership, either.Token)] : Array.Empty<Task>(),
                ];
                await Task.WhenAny(parts);
                await either.CancelAsync();
                await Task.WhenAll(parts);
            }
            finally
            {
                Registry.IsLeading = false;
                loop.EndLeading();
                await ResignAsync(leadership);
            }

            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>A cluster whose coordinator stands still is led by nobody here.</summary>
    private async Task AdmittedAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        while (shared.HasMany && loop.Coordinator.SinceTurn >= SharedParts.Stuck)
        {
            await Task.Delay(SharedParts.Stuck / 4, shared.Clock.Provider, cancellationToken);
        }

        await Registry.Seat.EnteredAsync(session, cancellationToken);
    }

    /// <summary>A campaign that was cancelled in flight may have won: then another should not have to wait for a lease.</summary>
    private async Task WithdrawnAsync(LeaderElection election)
    {
        using var farewell = new CancellationTokenSource(SharedParts.Farewell, shared.Clock.Provider);
        await election.WithdrawnAsync(farewell.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task ResignAsync(Leadership leadership)
    {
        using var farewell = new CancellationTokenSource(SharedParts.Farewell, shared.Clock.Provider);
        try
        {
            await leadership.ResignAsync(farewell.Token);
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // The znode goes with the session.
        }

        await leadership.DisposeAsync();
    }

    private ReadOnlyMemory<byte> LeaderData() => JsonSerializer.SerializeToUtf8Bytes(
        new LeaderZnode(options.Id, Environment.MachineName, Environment.ProcessId, shared.Clock.Provider.GetUtcNow().UtcDateTime),
        MonitorJson.Default.LeaderZnode);
}
