using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Tells which configured node is meant when a replica names its master in another spelling (an IP address for a host name, or the
/// reverse), so that a replica that follows the right master is left in peace.
/// </summary>
/// <param name="nodes">The configured nodes.</param>
/// <param name="time">The source of time.</param>
/// <param name="lookUp">What resolves a name; null: the system.</param>
internal sealed class NodeNames(ImmutableArray<NodeAddress> nodes, TimeProvider time, Func<string, CancellationToken, Task<IPAddress[]>>? lookUp = null)
{
    /// <summary>After this a name is looked up again. Who asks meanwhile gets the answer of before: what a node says must not wait for a name server.</summary>
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(30);

    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _lookUp = lookUp ?? Dns.GetHostAddressesAsync;
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

        if (!_resolved.TryGetValue(host, out (long At, ImmutableHashSet<IPAddress> Addresses) known))
        {
            return await LookUpAsync(host, [], cancellationToken);
        }

        if (time.GetElapsedTime(known.At) >= Lifetime && _resolved.TryUpdate(host, known with { At = time.GetTimestamp() }, known))
        {
            _ = LookUpAsync(host, known.Addresses, CancellationToken.None);
        }

        return known.Addresses;
    }

    private async Task<ImmutableHashSet<IPAddress>> LookUpAsync(string host, ImmutableHashSet<IPAddress> before, CancellationToken cancellationToken)
    {
        ImmutableHashSet<IPAddress> addresses;
        try
        {
            addresses = [.. (await _lookUp(host, cancellationToken)).Select(Plain)];
        }
        catch (SocketException)
        {
            // A name that does not resolve now is nobody's; an older answer is better than none.
            addresses = before;
        }

        _resolved[host] = (time.GetTimestamp(), addresses);
        return addresses;
    }

    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
}
