using System.Globalization;

namespace RedisFailover.ZooKeeper;

/// <summary>When a leader gives up by itself, though its term is its own: asked before each beat.</summary>
internal sealed class OwnResignation(ZooKeeperClient client, LeaseRenewal renewal, MeasuredLease length, PeerHeartbeats peers)
{
    /// <summary>Ends the leads that others should rather have.</summary>
    /// <param name="lease">The length of the lease.</param>
    internal void ResignWhereDue(TimeSpan lease)
    {
        ResignToFasterPeer(lease);
        ResignUnresponsive();
    }

    /// <summary>
    /// A lead whose lease cannot be kept is given up if another process writes twice as fast: its way to the servers is the better one.
    /// </summary>
    private void ResignToFasterPeer(TimeSpan lease)
    {
        TimeSpan write = length.LongestWrite;

        // Without a connection nobody's way is known to be the better one.
        if (renewal.NotHeldFor is not { } notHeld || notHeld < 3 * lease || write <= lease || !client.IsConnected)
        {
            return;
        }

        if (peers.Present.FirstOrDefault(p => p.IsBeating && 2 * p.Write <= write) is { } quicker)
        {
            foreach (Leadership lead in renewal.Leads)
            {
                lead.Ended(string.Create(
                    CultureInfo.InvariantCulture,
                    $"its writes take {write.TotalMilliseconds:0} ms, longer than the lease, those of {quicker.Owner} "
                        + $"{quicker.Write.TotalMilliseconds:0} ms"));
            }
        }
    }

    /// <summary>A lead by which nobody acts any more is given up, so that another one does; the other leads go on.</summary>
    private void ResignUnresponsive()
    {
        foreach (Leadership lead in renewal.Leads)
        {
            if (!lead.IsAlive)
            {
                lead.Ended("nothing is decided by it any more");
            }
        }
    }
}
