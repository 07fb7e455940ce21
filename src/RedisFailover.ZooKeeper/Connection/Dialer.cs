using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using RedisFailover.Shared;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Opens connections: hosts shuffled once, then in turn; names are resolved anew at every attempt and every address is tried.
/// </summary>
internal sealed class Dialer
{
    private static readonly TimeSpan OneSecond = TimeSpan.FromSeconds(1);

    private readonly ZooKeeperHost[] _hosts;
    private readonly int[] _servers;
    private readonly Func<ZooKeeperTls?> _tls;
    private readonly TimeProvider _time;
    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _resolve;
    private int _next;
    private int _round;

    internal Dialer(ZooKeeperOptions options)
    {
        _hosts = [.. options.Connection.Hosts];
        Random.Shared.Shuffle(_hosts);
        _servers = [.. _hosts.Select(static _ => 1)];
        _tls = () => options.TlsSource is { } source ? source() : options.Tls;
        _time = options.TimeProvider;
        _resolve = options.Resolve ?? Dns.GetHostAddressesAsync;
    }

    internal int HostCount => _hosts.Length;

    /// <summary>How many servers there may be: a name counts as its addresses, those of one family, as it was last resolved.</summary>
    internal int ServerCount => _servers.Sum();

    /// <summary>As <see cref="ServerCount"/>, of one host.</summary>
    internal int ServersOf(ZooKeeperHost host) => _servers[Array.IndexOf(_hosts, host)];

    /// <summary>
    /// The first reconnect after 0 to 100 ms, then exponentially more with jitter, at most the least of 1 s, T/6 and what is given.
    /// </summary>
    internal static TimeSpan Backoff(int failures, TimeSpan sessionTimeout, TimeSpan? within = null)
    {
        TimeSpan longest = sessionTimeout / 6 < OneSecond ? sessionTimeout / 6 : OneSecond;
        longest = within < longest ? within.Value : longest;
        TimeSpan first = TimeSpan.FromMilliseconds(100);
        var backoff = new Backoff(longest < first ? longest : first, longest);
        return failures == 0 ? backoff.SpreadFromZero(0) : backoff.Spread(failures);
    }

    internal ZooKeeperHost NextHost()
    {
        ZooKeeperHost host = _hosts[_next];
        _next = (_next + 1) % _hosts.Length;
        _round += _next == 0 ? 1 : 0;
        return host;
    }

    /// <summary>
    /// Connects to the host, each of its addresses within the time given. Each time it begins with another of them: one that accepts and
    /// then does not serve must not stand before one that does.
    /// </summary>
    internal async Task<(Stream Stream, string Server)> OpenAsync(ZooKeeperHost host, TimeSpan within, CancellationToken cancellationToken)
    {
        IPAddress[] addresses = IPAddress.TryParse(host.Host, out IPAddress? literal)
            ? [literal]
            : await ResolveAsync(host.Host, cancellationToken).ConfigureAwait(false);
        if (addresses.Length == 0)
        {
            throw new SocketException((int)SocketError.HostNotFound);
        }

        _servers[Array.IndexOf(_hosts, host)] = addresses.GroupBy(static a => a.AddressFamily).Max(static g => g.Count());
        int begin = Math.Max(0, _round - (_next == 0 ? 1 : 0)) % addresses.Length;
        for (int i = 0; ; i++)
        {
            IPAddress address = addresses[(begin + i) % addresses.Length];
            using var deadline = new CancellationTokenSource(within, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
            try
            {
                Stream stream = await OpenAsync(host, address, either.Token).ConfigureAwait(false);
                return (stream, addresses.Length == 1 && literal is not null ? host.ToString() : $"{host} ({address})");
            }
            catch (Exception e) when (i + 1 < addresses.Length
                && e is SocketException or IOException or AuthenticationException or OperationCanceledException
                && !cancellationToken.IsCancellationRequested)
            {
                // The next address of the same host.
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new TimeoutException($"{host} did not answer within {within.TotalMilliseconds:0} ms");
            }
        }
    }

    /// <summary>Runs what waits for the server; cancellation disposes what it waits for, which ends the waiting.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    internal static async Task<T> OnThreadOfItsOwnAsync<T>(Func<T> wait, IDisposable waited, CancellationToken cancellationToken)
    {
        using CancellationTokenRegistration end = cancellationToken.UnsafeRegister(static d => ((IDisposable)d!).Dispose(), waited);
        try
        {
            return await Task.Factory.StartNew(wait, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)
                .ConfigureAwait(false);
        }
        catch (Exception e) when (cancellationToken.IsCancellationRequested
            && e is SocketException or IOException or ObjectDisposedException)
        {
            throw new OperationCanceledException(e.Message, e, cancellationToken);
        }
    }

    /// <summary>
    /// The system's resolver goes on when it is cancelled: a name server that is silent must hold up neither the next host nor the end.
    /// </summary>
    private Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken)
        => _resolve(host, cancellationToken).MayFailUnseen().WaitAsync(cancellationToken);

    private async Task<Stream> OpenAsync(ZooKeeperHost host, IPAddress address, CancellationToken cancellationToken)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Stream stream = new SocketStream(socket);
        try
        {
            return await OnThreadOfItsOwnAsync(
                () =>
                {
                    socket.Connect(new IPEndPoint(address, host.Port));
                    socket.Blocking = false;
                    if (_tls() is { } tls)
                    {
                        var secured = new SslStream(stream);
                        stream = secured;
                        secured.AuthenticateAsClient(TlsOptions(tls, host));
                    }

                    return stream;
                },
                socket,
                cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static SslClientAuthenticationOptions TlsOptions(ZooKeeperTls tls, ZooKeeperHost host)
    {
        var options = new SslClientAuthenticationOptions { TargetHost = tls.ServerName ?? host.Host };
        if (tls.AcceptsAnyName)
        {
            options.RemoteCertificateValidationCallback = static (_, _, _, errors)
                => (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None;
        }

        if (tls.ClientCertificate is not null)
        {
            options.ClientCertificates = [tls.ClientCertificate];
        }

        if (!tls.Authorities.IsDefaultOrEmpty)
        {
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(tls.Authorities.ToArray());
        }

        return options;
    }
}
