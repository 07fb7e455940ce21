using System.Net.Security;

namespace RedisFailover.Client;

/// <summary>What StackExchange.Redis is configured with. "3.4" in comments is its version, and how that behaves.</summary>
internal static class NodeConfiguration
{
    /// <summary>For one node, where it was found. A call on a lost connection fails at once, and can go to another node.</summary>
    public static ConfigurationOptions Of(FailoverOptions options, NodeAddress node, IPEndPoint found, TimeSpan deadline)
    {
        ConfigurationOptions configuration = Of(options);
        configuration.EndPoints.Add(node.Host, node.Port);
        configuration.AbortOnConnectFail = true;

        // 3.4 waits three times for a node that hangs, each time for ConnectTimeout.
        configuration.ConnectRetry = 1;
        configuration.ConnectTimeout = (int)deadline.TotalMilliseconds;
        configuration.SyncTimeout = (int)options.OperationTimeout.TotalMilliseconds;

        // 3.4 keeps a call on a lost connection for five seconds, in the hope of the next one.
        configuration.BacklogPolicy = BacklogPolicy.FailFast;

        // 3.4 counts it from the queueing: whether the node answers is what counts, and the link's watch sees to that.
        configuration.AsyncTimeout = int.MaxValue;
        configuration.Tunnel ??= new AddressTunnel(found);
        return configuration;
    }

    /// <summary>What all have in common: the application's settings, and that the topology alone says who is master.</summary>
    public static ConfigurationOptions Of(FailoverOptions options)
    {
        var configuration = new ConfigurationOptions { ClientName = "redis-failover", Password = options.Password };
        if (options.Login is { } login)
        {
            configuration.Defaults = login;
            configuration.Password = null;
        }

        if (options.Tls is { } tls)
        {
            configuration.Ssl = true;
            configuration.SslClientAuthenticationOptions = tls.Files.For;
        }

        options.ConfigureNode?.Invoke(configuration);
        configuration.EndPoints.Clear();
        configuration.User = options.User ?? configuration.User;

        // 3.4 puts the key into each failure's message, which ends in logs.
        configuration.IncludeDetailInExceptions = false;

        // 3.4 asks a key for the master, and configures itself anew when anybody publishes on the channel.
        configuration.TieBreaker = "";
        configuration.ConfigurationChannel = "";
        return configuration;
    }

    /// <summary>Makes options lead to whichever node is master. A call waits while there is none, as long as one of
    /// <see cref="FailoverConnection.GetDatabase"/>.</summary>
    public static void LeadToMaster(ConfigurationOptions configuration, FailoverOptions options, MasterTunnel tunnel)
    {
        int patience = (int)(options.WriteWait + options.OperationTimeout).TotalMilliseconds;
        configuration.EndPoints.Clear();
        configuration.EndPoints.Add(MasterTunnel.EndPoint);
        configuration.Tunnel = tunnel;
        configuration.AbortOnConnectFail = false;
        configuration.BacklogPolicy = BacklogPolicy.Default;
        configuration.SyncTimeout = patience;
        configuration.AsyncTimeout = patience;
        configuration.ConnectTimeout = (int)options.ConnectTimeout.TotalMilliseconds;

        // Its beat is also when it tries to connect again.
        configuration.HeartbeatInterval = TimeSpan.FromMilliseconds(100);
        configuration.ReconnectRetryPolicy = new TunnelRetry(tunnel);
        configuration.TieBreaker = "";
        configuration.ConfigurationChannel = "";
        if (options.Tls is { } tls)
        {
            configuration.Ssl = true;
            configuration.SslClientAuthenticationOptions = _ => tls.Files.For(tunnel.Host);
        }

        else if (configuration.SslClientAuthenticationOptions is { } own)
        {
            // The application's own, which is to be asked for the node.
            configuration.SslClientAuthenticationOptions = _ => own(configuration.SslHost ?? tunnel.Host);
        }

        if (configuration.Ssl && configuration.SslHost is null && configuration.SslClientAuthenticationOptions is null)
        {
            // The certificate is the node's, not that of the made-up end point.
            configuration.SslClientAuthenticationOptions = _ => new SslClientAuthenticationOptions
            {
                TargetHost = tunnel.Host,
                EnabledSslProtocols = configuration.SslProtocols ?? default,
                CertificateRevocationCheckMode = configuration.CheckCertificateRevocation
                    ? System.Security.Cryptography.X509Certificates.X509RevocationMode.Online
                    : System.Security.Cryptography.X509Certificates.X509RevocationMode.NoCheck,
            };
        }
    }

    /// <summary>An address as StackExchange.Redis has it: what a host name stands for is not asked.</summary>
    public static EndPoint EndPointOf(NodeAddress node)
        => IPAddress.TryParse(node.Host, out IPAddress? address)
            ? new IPEndPoint(address, node.Port) : new DnsEndPoint(node.Host, node.Port);

    /// <summary>The address of an end point; null for one of another kind.</summary>
    public static NodeAddress? AddressOf(EndPoint endPoint) => endPoint switch
    {
        IPEndPoint ip => new NodeAddress(ip.Address.ToString(), ip.Port),
        DnsEndPoint name => new NodeAddress(name.Host.ToLowerInvariant(), name.Port),
        _ => null,
    };

    /// <summary>When a connection to the master is begun anew, which ends the attempt that is under way: one that waits for a master is
    /// left waiting, and one that takes long is given more each time.</summary>
    private sealed class TunnelRetry(MasterTunnel tunnel) : IReconnectRetryPolicy
    {
        private const int First = 50, Most = 3200;

        public bool ShouldRetry(long currentRetryCount, int timeElapsedMillisecondsSinceLastRetry)
            => tunnel.Waiting == 0
                && timeElapsedMillisecondsSinceLastRetry >= Math.Min(Most, First << (int)Math.Clamp(currentRetryCount, 0, 8));
    }
}
