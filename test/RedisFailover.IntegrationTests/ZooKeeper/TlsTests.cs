using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>TLS to the real server, which asks for the client's certificate too.</summary>
[TestFixture]
public sealed class TlsTests
{
    [Test]
    public async Task With_our_authority_and_a_client_certificate_the_session_is_encrypted_and_known_by_name_and_without_them_there_is_none()
    {
        using var files = new TemporaryDirectory("tls");
        using X509Certificate2 authority = Authority("ours");
        using X509Certificate2 stranger = Authority("a stranger's");
        using X509Certificate2 server = Certificate(authority, "zk", 1);
        using X509Certificate2 client = Certificate(authority, "monitor", 2);
        await File.WriteAllTextAsync(files.File("server.pem"), Pem(server));
        await File.WriteAllTextAsync(files.File("ca.pem"), authority.ExportCertificatePem());
        int port = FreePorts.Next();
        await using ZooKeeperServer secured = await ZooKeeperServer.StartAsync(new ZooKeeperServerOptions
        {
            ConfLines =
            [
                $"secureClientPort={port}", "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
                $"ssl.keyStore.location={files.File("server.pem")}", "ssl.keyStore.type=PEM",
                $"ssl.trustStore.location={files.File("ca.pem")}", "ssl.trustStore.type=PEM",
            ],
        });
        var tls = new ZooKeeperTls { Authorities = [authority], ClientCertificate = client };
        ZooKeeperOptions options = Options($"127.0.0.1:{port}") with { Tls = tls };
        await using (ZooKeeperSession session = await ZooKeeperSession.ConnectAsync(options).WaitAsync(Deadline))
        {
            await session.CreateAsync("/secret", Bytes(new string('x', 500_000)));
            Assert.That((await session.GetDataAsync("/secret")).Data.Length, Is.EqualTo(500_000));
            Assert.That((await session.WhoAmIAsync()).Select(w => w.Scheme), Does.Contain("x509"));
            await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => session.SetDataAsync("/secret", Bytes("y")).AsTask()));
            Assert.That((await session.ExistsAsync("/secret"))!.Value.Version, Is.EqualTo(500));
        }

        foreach (ZooKeeperOptions wrong in (ZooKeeperOptions[])
            [
                options with { Tls = tls with { ClientCertificate = null } },
                options with { Tls = tls with { Authorities = [stranger] } },
                options with { Tls = tls with { ServerName = "another.example" } },
                options with { Tls = null },
            ])
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(500));
            Assert.That(async ()
                => await ZooKeeperSession.ConnectAsync(wrong, patience.Token), Throws.InstanceOf<OperationCanceledException>());
        }
    }

    private static X509Certificate2 Authority(string name)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(Today().AddDays(-1), Today().AddDays(2));
    }

    private static X509Certificate2 Certificate(X509Certificate2 authority, string name, byte serial)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 issued = request.Create(authority, Today().AddDays(-1), Today().AddDays(1), [serial]);
        return issued.CopyWithPrivateKey(key);
    }

    private static string Pem(X509Certificate2 certificate)
        => certificate.GetRSAPrivateKey()!.ExportPkcs8PrivateKeyPem() + "\n" + certificate.ExportCertificatePem() + "\n";

    private static DateTimeOffset Today() => TimeProvider.System.GetUtcNow();
}
