using System.Collections.Immutable;
using System.Text;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Shared;

/// <summary>
/// Who may touch an operator's request: whoever made it, and the monitors. Whom those are the monitors write into <c>R/requests</c>,
/// one "scheme:id" a line, where operators alone read it; it is empty while the znodes are open to all.
/// </summary>
internal static class RequestRights
{
    /// <summary>The list of access rights for a request; default where all is open.</summary>
    internal static async Task<ImmutableArray<ZnodeAcl>> ForRequestAsync(ZooKeeperSession session, string requests,
        CancellationToken cancellationToken)
    {
        Znode parent = await session.GetDataAsync(requests, cancellationToken: cancellationToken).ConfigureAwait(false);
        ImmutableArray<ZnodeAcl> monitors = Parse(parent.Data.Span);
        return monitors.IsEmpty ? default : [.. ZnodeAcl.CreatorAll, .. monitors];
    }

    internal static byte[] Write(IEnumerable<ZnodeAcl> monitors)
        => Encoding.UTF8.GetBytes(string.Concat(monitors.Select(m => $"{m.Scheme}:{m.Id}\n")));

    private static ImmutableArray<ZnodeAcl> Parse(ReadOnlySpan<byte> data)
        => [.. Encoding.UTF8.GetString(data).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => (Line: line, Colon: line.IndexOf(':', StringComparison.Ordinal))).Where(l => l.Colon > 0)
            .Select(l => new ZnodeAcl(ZnodePermissions.All, l.Line[..l.Colon], l.Line[(l.Colon + 1)..]))];
}
