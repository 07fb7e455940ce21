using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Spreads leadership of several clusters over the monitors. For each cluster one of the living monitors is the favourite, by a hash of
/// both names: all of them find the same one. An empty term is left to it for a moment, and a leader that is not the favourite hands over
/// when all is quiet. A leader that died is replaced by whoever is first.
/// </summary>
internal sealed class LeadSpread(
    MonitorOptions options, SharedParts shared, Func<(ClusterView View, FailoverPolicy Policy)> know, ILogger logger)
{
    /// <summary>How long an empty term is left to the favourite, which takes it within milliseconds.</summary>
    private static readonly TimeSpan Left = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(3);

    /// <summary>How long everything has to be quiet, and the favourite the same, before leadership is handed over.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan Longest = TimeSpan.FromHours(1);

    /// <summary>How often leadership was handed over, and came back.</summary>
    private int _inVain;

    /// <summary>How long to leave an empty term to the favourite.</summary>
    internal TimeSpan Deference() => Favourite() == options.Id ? TimeSpan.Zero : Left;

    /// <summary>While this monitor leads: hands leadership over once all is quiet and another one is the favourite.</summary>
    internal async Task WatchAsync(Leadership leadership, CancellationToken cancellationToken)
    {
        try
        {
            string? favourite = null;
            TimeSpan since = shared.Clock.Now;
            while (true)
            {
                await Task.Delay(LookEvery, shared.Clock.Provider, cancellationToken);
                string now = Favourite();
                if (now != favourite || !IsQuiet(now))
                {
                    (favourite, since) = (now, shared.Clock.Now);
                }
                else if (now == options.Id)
                {
                    _inVain = 0;
                }
                else if (shared.Clock.Now - since >= Patience())
                {
                    _inVain++;
                    Log.LeadHandedOver(logger, now);
                    await leadership.ResignAsync(cancellationToken);
                    return;
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Leadership is over.
        }
        catch (ZooKeeperException)
        {
            // Leadership is over as well; that its znode goes is seen to.
        }
    }

    /// <summary>Of several clusters not all are handed over in one moment; each attempt in vain doubles the wait.</summary>
    private TimeSpan Patience()
    {
        TimeSpan wait = (Quiet + (Quiet * (Weight(options.Name, "") / (double)ulong.MaxValue))) * Math.Pow(2, Math.Min(_inVain, 20));
        return wait < Longest ? wait : Longest;
    }

    /// <summary>No change is under way, all nodes are in use, and the favourite sees all that this monitor sees.</summary>
    private bool IsQuiet(string favourite)
    {
        (ClusterView view, FailoverPolicy policy) = know();
        return view.Topology is { State: TopologyState.Ok, Unavailable.IsEmpty: true }
            && view.Config?.Pause is null
            && (favourite == options.Id || (view.OtherMonitors.TryGetValue(favourite, out MonitorReport? report)
                && policy.Nodes.All(report.Available.ContainsKey)));
    }

    private string Favourite()
    {
        ImmutableHashSet<string> beating = [.. shared.Keeper.Peers.Where(p => p.IsBeating).Select(p => p.Owner)];
        return Favourite(options.Name, know().View.OtherMonitors.Keys.Where(beating.Contains).Append(options.Id));
    }

    /// <summary>The one of the monitors that should lead the cluster.</summary>
    internal static string Favourite(string cluster, IEnumerable<string> monitors) => monitors.MaxBy(m => (Weight(cluster, m), m))!;

    private static ulong Weight(string cluster, string monitor)
        => BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes($"{cluster}/{monitor}")));
}
