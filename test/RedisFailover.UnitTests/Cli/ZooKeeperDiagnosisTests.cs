using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using NUnit.Framework;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Cli;

/// <summary>Why ZooKeeper does not answer, asked the way a session goes: with TLS where that has it.</summary>
[TestFixture]
public sealed class ZooKeeperDiagnosisTests
{
    private static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();

    [TestCase("127.0.0.1", 1, true, "it answers, but has given no session yet", false)]
    [TestCase("127.0.0.1", 1, false, "its certificate is by an authority that is not trusted: REDIS_FAILOVER_ZK_TLS_CA_FILE", true)]
    [TestCase("127.0.0.1", -1, true, "its certificate has expired, or is not valid yet (", true)]
    [TestCase("10.9.9.9", 1, true, "its certificate does not carry that name: REDIS_FAILOVER_ZK_TLS_NAME gives another one", true)]
    public async Task A_server_with_TLS_is_asked_by_TLS_and_the_fault_of_its_certificate_is_said(
        string carried, int days, bool isTrusted, string expected, bool isHopeless)
    {
        using X509Certificate2 authority = Authority();
        using X509Certificate2 other = Authority();
        using X509Certificate2 certificate = Issued(authority, carried, days);
        await using var server = new Server(certificate);

        ZooKeeperDiagnosis found = await LookAsync(server, isTrusted ? authority : other);

        Assert.That(found.Text, Does.StartWith($"{server.EndPoint}: {expected}"));
        Assert.That(found.IsHopeless, Is.EqualTo(isHopeless));
    }

    [Test]
    public async Task A_port_without_TLS_is_told_where_TLS_is_set()
    {
        using X509Certificate2 authority = Authority();
        await using var server = new Server(certificate: null);
        Assert.That((await LookAsync(server, authority)).Text, Does.EndWith("; is that a port without TLS?"));
    }

    [TestCase("error:0A000412:SSL routines::sslv3 alert bad certificate",
        "it does not accept the certificate that it is shown, or asks for one: REDIS_FAILOVER_ZK_TLS_CERT_FILE, "
            + "REDIS_FAILOVER_ZK_TLS_KEY_FILE (error:0A000412:SSL routines::sslv3 alert bad certificate)")]
    [TestCase("something else", "no TLS with it (something else)")]
    public void What_TLS_says_is_told_in_plain_words(string said, string told)
        => Assert.That(ZooKeeperDiagnosis.TlsFault(said), Is.EqualTo(told));

    /// <summary>A look lasts a second, which a busy machine may not have: then once more.</summary>
    private static async Task<ZooKeeperDiagnosis> LookAsync(Server server, X509Certificate2 authority)
    {
        var options = new ZooKeeperOptions
        {
            Connection = ZooKeeperConnectionString.Parse($"{server.EndPoint}/x"),
            Tls = new ZooKeeperTls { Authorities = [authority] },
        };
        ZooKeeperDiagnosis found = await ZooKeeperDiagnosis.OfAsync(options, default);
        for (int i = 0; i < 5 && found.Text.EndsWith(": no answer", StringComparison.Ordinal); i++)
        {
            found = await ZooKeeperDiagnosis.OfAsync(options, default);
        }

        return found;
    }

    private static X509Certificate2 Authority()
    {
        using RSA key = RSA.Create(2048);
        var request = new CertificateRequest("CN=authority", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(Now.AddDays(-10), Now.AddDays(10));
    }

    private static X509Certificate2 Issued(X509Certificate2 authority, string address, int days)
    {
        using RSA key = RSA.Create(2048);
        var request = new CertificateRequest("CN=server", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Parse(address));
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 issued = request.Create(authority, Now.AddDays(-5), Now.AddDays(days), [1, 2, 3]);
        using X509Certificate2 whole = issued.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }

    /// <summary>Answers srvr as ZooKeeper does; without a certificate it closes what it does not understand.</summary>
    private sealed class Server : IAsyncDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly CancellationTokenSource _over = new();
        private readonly Task _serving;

        internal Server(X509Certificate2? certificate)
        {
            _listener.Start();
            _serving = ServeAsync(certificate);
        }

        internal EndPoint EndPoint => _listener.LocalEndpoint;

        public async ValueTask DisposeAsync()
        {
            await _over.CancelAsync();
            _listener.Stop();
            await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _over.Dispose();
        }

        private async Task ServeAsync(X509Certificate2? certificate)
        {
            while (true)
            {
                using TcpClient client = await _listener.AcceptTcpClientAsync(_over.Token);
                try
                {
                    if (certificate is null)
                    {
                        await client.GetStream().ReadExactlyAsync(new byte[4], _over.Token);
                        continue;
                    }

                    await using var stream = new SslStream(client.GetStream());
                    await stream.AuthenticateAsServerAsync(certificate);
                    await stream.ReadExactlyAsync(new byte[5], _over.Token);
                    await stream.WriteAsync("Zookeeper version: 3.8"u8.ToArray(), _over.Token);
                }
                catch (Exception e) when (e is IOException or System.Security.Authentication.AuthenticationException)
                {
                    // The client did not trust it.
                }
            }
        }
    }
}
