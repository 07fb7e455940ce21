using System.Collections.Concurrent;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>An application that authenticates the servers itself, by ConfigureNode, in the place of FailoverOptions.Tls.</summary>
[TestFixture]
public sealed class OwnTlsTests
{
    [Test]
    public async Task Its_own_delegate_is_asked_for_each_node_by_calls_subscriptions_and_what_is_led_through_a_failover()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=redis", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 certificate =
            request.CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-1), TimeProvider.System.GetUtcNow().AddDays(1));
        using var directory = new TemporaryDirectory("redis-own-tls");
        await File.WriteAllTextAsync(directory.File("certificate.pem"), certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(directory.File("key.pem"), key.ExportPkcs8PrivateKeyPem());
        NodeAddress first = new("127.0.0.1", FreePorts.Next());
        NodeAddress second = new("127.0.0.1", FreePorts.Next());
        await using RedisServer one = await RedisServer.StartAsync(Encrypted(directory, first));
        await using RedisServer two = await RedisServer.StartAsync(Encrypted(directory, second) with { ReplicaOf = one.Address });
        await Eventually.HoldsAsync("it follows", ct => two.InfoAsync("replication", ct), info => info["master_link_status"] == "up");

        var asked = new ConcurrentQueue<string>();
        var options = new FailoverOptions
        {
            ConfigureNode = node =>
            {
                node.Ssl = true;
                node.SslClientAuthenticationOptions = host =>
                {
                    asked.Enqueue(host);
                    return new SslClientAuthenticationOptions
                    {
                        TargetHost = host,
                        RemoteCertificateValidationCallback =
                            (_, shown, _, _) => shown?.GetCertHashString() == certificate.Thumbprint,
                    };
                };
            },
        };
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, first, second));
        await using FailoverConnection connection = await Connected.ToAllAsync(topology, options);
        await using ConnectionMultiplexer led = await ConnectionMultiplexer.ConnectAsync(connection.ConfigurationOptions());
        var heard = new ConcurrentQueue<string>();
        RedisChannel news = RedisChannel.Literal("news");
        await connection.GetSubscriber().SubscribeAsync(news, (_, message) => heard.Enqueue((string)message!));
        await GoOnAsync("before");

        await one.KillAsync();
        topology.Publish(PublishedTopology.Of(2, null, second));
        await two.CommandAsync("REPLICAOF", "NO", "ONE");
        topology.Publish(PublishedTopology.Of(2, second));
        await GoOnAsync("after");
        Assert.That(asked, Is.Not.Empty.And.All.EqualTo("127.0.0.1"), "never for the end point that the subscriptions are led from");

        async Task GoOnAsync(string value)
        {
            Assert.That(await connection.GetDatabase().StringSetAsync("key", value), Is.True);
            await Eventually.HoldsAsync("the handler hears", async _ =>
            {
                await connection.GetDatabase().PublishAsync(news, value);
                return heard.Contains(value);
            }, isHeard => isHeard);
            await Eventually.HoldsAsync("what is led writes", async _ =>
            {
                try
                {
                    return await led.GetDatabase().StringSetAsync("led", value);
                }
                catch (RedisException)
                {
                    // Its connection to the old master was in use.
                    return false;
                }
            }, isWritten => isWritten);
        }
    }

    private static RedisServerOptions Encrypted(TemporaryDirectory directory, NodeAddress address) => new()
    {
        ConfLines =
        [
            $"tls-port {address.Port}", $"tls-cert-file {directory.File("certificate.pem")}", $"tls-key-file {directory.File("key.pem")}",
            $"tls-ca-cert-file {directory.File("certificate.pem")}", "tls-auth-clients no",
        ],
    };
}
