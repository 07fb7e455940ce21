using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Tells which configured node is meant when a replica names its master in another spelling (an IP address for a host name, or the
/// reverse), so that a replica that follows the right master is left in peace.
/// </summary>
internal sealed class NodeNames(ImmutableArray<NodeAddress> nodes, TimeProvider time)
{
    /// <summary>How long a name's addresses are believed.</summary>
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, (long At, ImmutableHashSet<IPAddress> Addresses)> _resolved = new(StringComparer.Ordinal);

    /// <summary>The configured node that this address means, or the address itself.</summary>
    internal async ValueTask<NodeAddress> IdentifyAsync(NodeAddress reported, CancellationToken cancellationToken)
    {
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
        if (IPAddress.TryParse(host, out IPAddress? literal))
        {
            return [Plain(literal)];
        }

        if (_resolved.TryGetValue(host, out (long At, ImmutableHashSet<IPAddress> Addresses) known) && time.GetElapsedTime(known.At) < Lifetime)
        {
            return known.Addresses;
        }

        ImmutableHashSet<IPAddress> addresses;
        try
        {
            addresses = [.. (await Dns.GetHostAddressesAsync(host, cancellationToken)).Select(Plain)];
        }
        catch (SocketException)
        {
            // A name that does not resolve now is nobody's; an older answer is better than none.
            addresses = known.Addresses ?? [];
        }

        _resolved[host] = (time.GetTimestamp(), addresses);
        return addresses;
    }

    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
}
