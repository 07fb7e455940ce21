using System.Collections.Immutable;
using System.Net;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Tells which configured node is meant when a replica names its master in another spelling (an IP address for a host name, or the
/// reverse), so that a replica that follows the right master is left in peace.
/// </summary>
/// <param name="known">The configured nodes.</param>
/// <param name="time">The source of time.</param>
/// <param name="lookUp">What resolves a name; null: the system.</param>
internal sealed class NodeNames(ImmutableArray<NodeAddress> known, TimeProvider time,
    Func<string, CancellationToken, Task<IPAddress[]>>? lookUp = null)
{
    /// <summary>
    /// After this a name is looked up again. Who asks meanwhile gets the answer of before: what a node says must not wait for a
    /// name server.
    /// </summary>
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(30);

    /// <summary>For so long a name that was never resolved is waited for.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);

    /// <summary>What the nodes' names resolve to; connections are made by the same.</summary>
    internal HostAddresses Hosts { get; } = new(time, lookUp);

    private ImmutableArray<NodeAddress> _nodes = known;

    /// <summary>The nodes by whose names others are told.</summary>
    internal ImmutableArray<NodeAddress> Nodes
    {
        get => _nodes;
        set => ImmutableInterlocked.InterlockedExchange(ref _nodes, value);
    }

    /// <summary>The configured node that this address means, or the address itself.</summary>
    internal async ValueTask<NodeAddress> IdentifyAsync(NodeAddress reported, CancellationToken cancellationToken)
    {
        ImmutableArray<NodeAddress> nodes = _nodes;
        if (nodes.Contains(reported))
        {
            return reported;
        }

        ImmutableHashSet<IPAddress>? wanted = null;
        foreach (NodeAddress node in nodes)
        {
            if (node.Port != reported.Port)
            {
                continue;
            }

            wanted ??= await ResolveAsync(reported.Host, cancellationToken);
            if ((await ResolveAsync(node.Host, cancellationToken)).Overlaps(wanted))
            {
                return node;
            }
        }

        return reported;
    }

    private async ValueTask<ImmutableHashSet<IPAddress>> ResolveAsync(string host, CancellationToken cancellationToken)
    {
        ImmutableArray<IPAddress> known = Hosts.Known(host, Lifetime);
        if (known.IsEmpty)
        {
            using var patience = new CancellationTokenSource(Patience, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
            try
            {
                (known, _) = await Hosts.FindAsync(host, either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // Nobody's for now; the answer is there when it is asked for again.
            }
        }

        return [.. known.Select(Plain)];
    }

    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
}
