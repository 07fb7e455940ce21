using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using RedisFailover.Shared;

namespace RedisFailover.ZooKeeper;

/// <summary>One server of the ensemble.</summary>
/// <param name="Host">A DNS name or an IP address, without brackets.</param>
/// <param name="Port">The client port, 1 to 65535.</param>
public sealed record ZooKeeperHost(string Host, int Port)
{
    /// <summary>"host:port", an IPv6 address in brackets.</summary>
    public override string ToString() => HostPort.Format(Host, Port);
}

/// <summary>
/// The servers of an ensemble and the chroot, in ZooKeeper's own form: <c>zk1:2181,zk2:2181,[::1]:2181/redis_failover</c>.
/// </summary>
public sealed record ZooKeeperConnectionString
{
    private const int DefaultPort = 2181;

    private ZooKeeperConnectionString(ImmutableArray<ZooKeeperHost> hosts, string chroot)
    {
        Hosts = hosts;
        Chroot = chroot;
    }

    /// <summary>The servers, at least one, in the order given.</summary>
    public ImmutableArray<ZooKeeperHost> Hosts { get; }

    /// <summary>The path that every path of this client is relative to: "" or "/a/b".</summary>
    public string Chroot { get; }

    /// <summary>Reads a connection string. The port may be left out (2181).</summary>
    /// <exception cref="FormatException">It is none; the message is one line and says what is wrong.</exception>
    public static ZooKeeperConnectionString Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Read(text, out string? error) ?? throw new FormatException(error);
    }

    /// <summary>As <see cref="Parse"/>, without the exception.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out ZooKeeperConnectionString? connection)
    {
        connection = text is null ? null : Read(text, out _);
        return connection is not null;
    }

    /// <summary>The connection string again, with every port written out.</summary>
    public override string ToString() => string.Join(',', Hosts) + Chroot;

    /// <summary>Same servers in the same order, same chroot.</summary>
    public bool Equals(ZooKeeperConnectionString? other)
        => other is not null && Chroot == other.Chroot && Hosts.AsSpan().SequenceEqual(other.Hosts.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Chroot, Hosts.Length, Hosts[0]);

    private static ZooKeeperConnectionString? Read(string text, out string? error)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        string servers = slash < 0 ? text : text[..slash];
        string chroot = slash < 0 ? "" : text[slash..].Trim();
        chroot = chroot == "/" ? "" : chroot;
        var hosts = ImmutableArray.CreateBuilder<ZooKeeperHost>();
        foreach (string server in servers.Split(',', StringSplitOptions.TrimEntries))
        {
            if (!HostPort.TryParse(server, DefaultPort, out string host, out int port))
            {
                error = $"'{server}' in the ZooKeeper connection string '{text}' is not a server: expected {HostPort.Allowed}.";
                return null;
            }

            hosts.Add(new ZooKeeperHost(host, port));
        }

        if (chroot.Length > 0 && ZnodePath.Fault(chroot) is { } fault)
        {
            error = $"The path '{chroot}' of the ZooKeeper connection string '{text}' is wrong: {fault}.";
            return null;
        }

        error = null;
        return new ZooKeeperConnectionString(hosts.ToImmutable(), chroot);
    }
}
