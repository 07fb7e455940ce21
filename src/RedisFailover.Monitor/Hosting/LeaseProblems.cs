using System.Globalization;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Tells what is wrong with the leases and with who is here: a slow ensemble, an id that two monitors have, stray znodes.
/// </summary>
internal sealed class LeaseProblems(
    LeaseKeeper keeper, MonitorRegistry registry, ProblemKeeper problems, ZooKeeperRefusals refusals, string id)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    internal async Task WatchAsync(MonotonicClock clock, CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(Interval, clock.Provider, cancellationToken);
            LeaseStatus status = keeper.Status;
            problems.Set(ProblemCatalogue.ZooKeeperSlow, Slow(status, id));
            problems.Set(ProblemCatalogue.LeaseNotHeld, NotHeld(status, id));
            problems.Set(ProblemCatalogue.MonitorIdTaken, IdTaken());
            problems.Set(ProblemCatalogue.StrayZnode, Strays());
            refusals.Look();
        }
    }

    /// <summary>Writes take so long that the lease has doubled.</summary>
    internal static Problem? Slow(LeaseStatus status, string id)
        => status.Length < 2 * status.Asked || 3 * status.Write < 2 * status.Asked ? null
            : Problem.OfMonitors(
                ProblemCatalogue.ZooKeeperSlow,
                $"ZooKeeper takes up to {Millis(status.Write)} for a write: if {id} dies while it leads, that is noticed after "
                    + $"{Millis(status.Length * 1.25)} instead of {Millis(status.Asked * 1.25)}",
                id);

    /// <summary>Writes take longer than a lease can be, or leadership is without a lease for long.</summary>
    internal static Problem? NotHeld(LeaseStatus status, string id)
    {
        bool tooShort = status.Write >= status.SessionTimeout / 2;
        if (!tooShort && (status.NotHeldFor is not { } time || time < 3 * status.Length))
        {
            return null;
        }

        string what = $"{id} cannot hold a lease and carries out no failover: a write takes up to {Millis(status.Write)}, "
            + $"half of session-timeout is {Millis(status.SessionTimeout / 2)}";
        string needed = Millis(6 * status.Write);
        return tooShort
            ? Problem.OfMonitors(ProblemCatalogue.LeaseNotHeld, what, id) with
            {
                Advice =
                    $"Raise session-timeout to {needed} or more (and the servers' maxSessionTimeout if it is less), or make ZooKeeper's "
                        + $"disk or the network faster.",
            }
            : Problem.OfMonitors(
                ProblemCatalogue.LeaseNotHeld,
                    $"{id} leads and has had no lease for {status.NotHeldFor!.Value.TotalSeconds:0} s: it carries out nothing", id);
    }

    /// <summary>Whoever came second says that it does nothing; whoever has the place says so where the others read it.</summary>
    private Problem? IdTaken()
        => registry.Seat.IsIdTaken
            ? Problem.OfMonitors(ProblemCatalogue.MonitorIdTaken,
                $"another living monitor has the id {id}: this one neither votes nor leads", id)
            : keeper.Peers.Any(p => p.IsBeating && p.Owner == id)
                ? Problem.OfMonitors(ProblemCatalogue.MonitorIdTaken,
                    $"a second monitor was started with the id {id}: it neither votes nor leads", id)
                : null;

    /// <summary>Told by the leader alone.</summary>
    private Problem? Strays()
        => registry.IsLeading && registry.Presence.Strays is { IsEmpty: false } strays
            ? Problem.OfMonitors(
                ProblemCatalogue.StrayZnode,
                $"R/monitors contains znodes that belong to no live monitor; they are ignored: "
                    + $"{string.Join(", ", strays.Order(StringComparer.Ordinal))}",
                strays)
            : null;

    private static string Millis(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0} ms");
}
